"""The service on a real socket, over a real database, with people who may call it."""

import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import pytest
from conversing import Person, Start, Visit
from model_server import ModelServer, Say, Step
from offices import DEAR, Office, Open
from pydantic import SecretStr

from conversation_service import main
from conversation_service.settings import Settings
from kit import outgoing
from kit.identity import Actor
from kit.testing import SERVICE_SECRET, Addresses, Issuer, Served, make_person, serve


@pytest.fixture(scope="session")
def index_dir() -> Iterator[Path]:
    """One index for all tests; it is built once."""
    with tempfile.TemporaryDirectory() as folder:
        yield Path(folder)


@pytest.fixture
def settings(addresses: Addresses, issuer: Issuer, index_dir: Path) -> Settings:
    """Library mode, a short lease."""
    return Settings(
        database_url=SecretStr(addresses.service),
        auth_service_url=issuer.url,
        service_token_secret=SecretStr(SERVICE_SECRET),
        data_dir=index_dir,
        reply_lease_seconds=2.0,
    )


@pytest.fixture
async def start(settings: Settings) -> AsyncIterator[Start]:
    """Starts an instance of the service, with other settings where some are given."""
    async with AsyncExitStack() as stack:

        async def start(**changed: Any) -> Served:
            app = main.build(settings.model_copy(update=changed))
            return await stack.enter_async_context(serve(app))

        yield start


@pytest.fixture
async def service(start: Start) -> Served:
    """One instance in library mode."""
    return await start()


@pytest.fixture
async def visit(issuer: Issuer, addresses: Addresses) -> AsyncIterator[Visit]:
    """Gives somebody, new unless named, a client to an instance."""
    async with AsyncExitStack() as stack:

        async def visit(served: Served, actor: Actor | None = None) -> Person:
            who = actor or await make_person(addresses)
            headers = {"authorization": f"Bearer {issuer.token(who)}"}
            client = httpx.AsyncClient(
                base_url=served.url, headers=headers, verify=outgoing.trusted()
            )
            return Person(who, await stack.enter_async_context(client))

        yield visit


@pytest.fixture
async def alice(service: Served, visit: Visit) -> Person:
    """A patient."""
    return await visit(service)


@pytest.fixture
async def bob(service: Served, visit: Visit) -> Person:
    """Another patient."""
    return await visit(service)


@pytest.fixture
async def office(start: Start, addresses: Addresses) -> AsyncIterator[Open]:
    """Opens instances whose model costs a lot."""
    async with AsyncExitStack() as stack:

        async def open_office(*scripts: list[Step], **changed: Any) -> Office:
            model = ModelServer(list(scripts) or [[Say("Rest.")]])
            served = await stack.enter_async_context(serve(model.app()))
            instance = await start(
                openai_base_url=f"{served.url}/v1",
                openai_api_key=SecretStr("test"),
                llm_model="some-model",
                **{**DEAR, **changed},
            )
            owner = await asyncpg.connect(addresses.owner)
            stack.push_async_callback(owner.close)
            return Office(instance, model, owner)

        yield open_office
