"""An installation of its own for the canary, and a collector of its spans."""

import asyncio
from collections.abc import AsyncIterator, Iterator

import pytest
from collector import collecting
from diagnosis import (
    HANDED_OVER_WITHIN,
    METRICS_TOKEN,
    WORD,
    keep_rows,
)
from installation import LEASE, Installation, installed

from kit.testing.ports import free_port


@pytest.fixture(scope="session")
def model_at() -> int:
    return free_port()


@pytest.fixture(scope="session")
def collector_at() -> int:
    return free_port()


@pytest.fixture(scope="session")
def house(model_at: int, collector_at: int) -> Iterator[Installation]:
    """An installation of its own, whose logs are looked at as they are at the end."""
    with installed() as made:
        address = f"http://127.0.0.1:{model_at}/v1"
        made.begin(
            {
                "OPENAI_BASE_URL": address,
                "REPLY_LEASE_SECONDS": str(LEASE),
                "LLM_FIRST_TOKEN_SECONDS": "1",
                "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{collector_at}",
                "FASTAPI_OTEL_AUTO_CONFIGURE": "true",
                "METRICS_TOKEN": METRICS_TOKEN,
            }
        )
        yield made


@pytest.fixture
async def watching(house: Installation, collector_at: int) -> AsyncIterator[None]:
    """From now on rows of tables without words are kept aside as they come, and so are spans."""
    await keep_rows(house)
    async with collecting(port=collector_at) as collector:
        yield
        async with asyncio.timeout(15):
            while not collector.spans:
                await asyncio.sleep(0.1)
        await asyncio.sleep(HANDED_OVER_WITHIN)
    assert [span for span in collector.spans if WORD in f"{span}".lower()] == []
    assert WORD.encode() not in b"".join(collector.raw).lower()
