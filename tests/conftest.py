"""One whole installation for the journeys and faults of a run, told what each test wants."""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack

import pytest
from cloud import Cloud
from conversing import Person
from installation import LEASE, Installation, installed, newcomer, spoken

from kit.testing import serve
from kit.testing.ports import free_port


@pytest.fixture(scope="session")
def _installation() -> Iterator[Installation]:
    with installed() as made:
        yield made


@pytest.fixture(scope="session")
def model_port() -> int:
    """Where `with_model` looks for its model; a test serves one there, or leaves it away."""
    return free_port()


@pytest.fixture
def anyhow(_installation: Installation) -> Installation:
    """It runs, however it was told to."""
    _installation.begin()
    return _installation


@pytest.fixture
def library_mode(_installation: Installation) -> Installation:
    """It runs without any model."""
    _installation.begin({})
    return _installation


@pytest.fixture
def with_guests(_installation: Installation) -> Installation:
    """It runs and lets guests in."""
    _installation.begin({"ALLOW_GUESTS": "true"})
    return _installation


@pytest.fixture
def with_model(_installation: Installation, model_port: int) -> Installation:
    """It asks a model, and its replies have a short lease; a test may kill it."""
    address = f"http://127.0.0.1:{model_port}/v1"
    _installation.begin({"OPENAI_BASE_URL": address, "REPLY_LEASE_SECONDS": str(LEASE)})
    return _installation


@pytest.fixture(scope="session")
def _with_rooms() -> Iterator[Installation]:
    with installed(rooms=True, hearing=True) as made:
        yield made


@pytest.fixture(scope="session")
def cloud_port() -> int:
    """Where `speaking` looks for OpenAI; a test serves it there, or leaves it away."""
    return free_port()


@pytest.fixture
def speaking(_with_rooms: Installation, cloud_port: int) -> Installation:
    """It runs with rooms; it speaks offline unless a session asks for the cascade, whose hearing
    is offline too."""
    _with_rooms.begin(spoken(cloud_port))
    return _with_rooms


@pytest.fixture
async def cloud(cloud_port: int) -> AsyncIterator[Cloud]:
    """OpenAI, where `speaking` looks for it."""
    cloud = Cloud()
    async with serve(cloud.app(), port=cloud_port):
        yield cloud


@pytest.fixture
async def arrive(speaking: Installation) -> AsyncIterator[Callable[[], Awaitable[Person]]]:
    """Somebody new comes to `speaking`."""
    async with AsyncExitStack() as stack:

        async def arrive() -> Person:
            return await stack.enter_async_context(newcomer(speaking.url))

        yield arrive
