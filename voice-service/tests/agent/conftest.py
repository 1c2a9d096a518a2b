"""What a process of sessions holds, against providers on the loopback."""

import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
from providers import Cloud, Open
from pydantic import SecretStr
from talking import Local

from kit.testing import serve
from voice_service.agent.resources import Resources, open_resources
from voice_service.agent.settings import Speaking


@pytest.fixture(scope="session")
def index_dir() -> Iterator[Path]:
    """One index for all tests; it is built once."""
    with tempfile.TemporaryDirectory() as folder:
        yield Path(folder)


@pytest.fixture
def cloud() -> Cloud:
    """Scripted by the test."""
    return Cloud()


@pytest.fixture
def local() -> Local:
    """Offline voice."""
    return Local()


@pytest.fixture
async def opened(cloud: Cloud, local: Local, index_dir: Path) -> AsyncIterator[Open]:
    """Opens what a process holds, with other settings where some are given."""
    async with AsyncExitStack() as stack:

        async def start(**changed: Any) -> Resources:
            served = await stack.enter_async_context(serve(cloud.app()))
            fields: dict[str, Any] = {
                "database_url": SecretStr("postgresql://nowhere.invalid/none"),
                "data_dir": index_dir,
                "openai_api_key": SecretStr("sk-test"),
                "openai_base_url": f"{served.url}/v1",
                "voice_turn_detection": "vad",
                **changed,
            }
            settings = Speaking(**fields)
            return await stack.enter_async_context(open_resources(settings, local))

        yield start
