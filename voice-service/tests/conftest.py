"""The service and the conversation service on real sockets, over one real database."""

import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest
from bare_sockets import open_sockets as open_sockets
from conversing import Person, Start, Visit
from media_server import MediaServer, media_server
from pydantic import SecretStr

import conversation_service.main
import conversation_service.settings
from kit import outgoing
from kit.identity import Actor
from kit.testing import SERVICE_SECRET, Addresses, Issuer, Served, make_person, serve
from kit.testing.ports import free_port
from voice_service import main
from voice_service.settings import Settings


@pytest.fixture(scope="session")
def index_dir() -> Iterator[Path]:
    """One index for all tests; it is built once."""
    with tempfile.TemporaryDirectory() as folder:
        yield Path(folder)


@pytest.fixture
def voice_port() -> int:
    """Where the conversation service looks for the voice service."""
    return free_port()


@pytest.fixture
async def conversations(
    addresses: Addresses, issuer: Issuer, index_dir: Path, voice_port: int
) -> AsyncIterator[Served]:
    """The conversation service in library mode."""
    settings = conversation_service.settings.Settings(
        database_url=SecretStr(addresses.service),
        auth_service_url=issuer.url,
        service_token_secret=SecretStr(SERVICE_SECRET),
        voice_service_url=f"http://127.0.0.1:{voice_port}",
        data_dir=index_dir,
    )
    async with serve(conversation_service.main.build(settings)) as served:
        yield served


@pytest.fixture
def settings(
    addresses: Addresses, issuer: Issuer, conversations: Served, index_dir: Path
) -> Settings:
    """Offline voice without a media server."""
    return Settings(
        database_url=SecretStr(addresses.service),
        auth_service_url=issuer.url,
        conversation_service_url=conversations.url,
        service_token_secret=SecretStr(SERVICE_SECRET),
        data_dir=index_dir,
        voice_prewarm=False,
    )


@pytest.fixture
async def start(settings: Settings, voice_port: int) -> AsyncIterator[Start]:
    """Starts the service where it is looked for, with other settings where some are given."""
    async with AsyncExitStack() as stack:

        async def start(*, port: int = voice_port, **changed: Any) -> Served:
            app = main.build(settings.model_copy(update=changed))
            return await stack.enter_async_context(serve(app, port=port))

        yield start


@pytest.fixture
async def service(start: Start) -> Served:
    """One instance."""
    return await start()


@pytest.fixture
async def visit(issuer: Issuer, addresses: Addresses) -> AsyncIterator[Visit]:
    """Gives somebody, new unless named, a client to an instance."""
    async with AsyncExitStack() as stack:

        async def visit(served: Served, actor: Actor | None = None) -> Person:
            who = actor or await make_person(addresses)
            headers = {"authorization": f"Bearer {issuer.token(who)}"}
            client = httpx.AsyncClient(
                base_url=served.url, headers=headers, timeout=30, verify=outgoing.trusted()
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
async def writing(alice: Person, conversations: Served, visit: Visit) -> Person:
    """Alice at the conversation service."""
    return await visit(conversations, alice.actor)


@pytest.fixture
def media(voice_port: int) -> Iterator[MediaServer]:
    """A real media server that tells the voice service of its rooms."""
    with media_server(f"http://127.0.0.1:{voice_port}/api/v1/voice/livekit") as server:
        yield server


@pytest.fixture
def with_media(settings: Settings, media: MediaServer) -> Settings:
    """The service with the media server."""
    return settings.model_copy(
        update={
            "livekit_url": media.url,
            "livekit_api_key": media.key.name,
            "livekit_api_secret": SecretStr(media.key.secret),
        }
    )
