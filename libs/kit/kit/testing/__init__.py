"""The pytest plugin: a real PostgreSQL, a database a test, services on real sockets, a clock.

The server comes from the wheel, or is the one that `MEDBOT_TEST_POSTGRES` names by its owner's
address; `MEDBOT_TEST_POOLER` names a pooler before it, by way of which the services come. Each
test's database is a copy of a migrated template.
"""

import asyncio
import os
import secrets
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import asyncpg
import pytest

from kit import embedded, migrations
from kit.database import Database, open_database
from kit.identity import Actor
from kit.signals import Signals, open_signals
from kit.testing import rabbitmq, servers
from kit.testing.issuing import SERVICE_SECRET, Issuer, open_issuer
from kit.testing.serving import Served, serve

__all__ = ["SERVICE_SECRET", "Addresses", "FixedClock", "Issuer", "Served", "serve"]

_KEYS = (
    "OPENAI_API_KEY",
    "OPENAI_BASE_URL",
    "GROK_API_KEY",
    "GROQ_API_KEY",
    "DATABASE_URL",
    "RABBITMQ_URL",
    "RABBITMQ_HOST",
)

Addresses = embedded.Addresses


class FixedClock:
    """A clock that stands still until it is moved."""

    def __init__(self, now: datetime = datetime(2030, 1, 1, 12, tzinfo=UTC)) -> None:
        self.now = now

    def __call__(self) -> datetime:
        return self.now

    def advance(self, **by: float) -> None:
        """Moves on by `timedelta(**by)`."""
        self.now += timedelta(**by)


class Watch:
    """A clock in seconds, moved by hand."""

    now = 1000.0

    def __call__(self) -> float:
        return self.now


def pytest_configure() -> None:
    """No test reaches a real provider or somebody's database by what the shell happens to hold."""
    for name in _KEYS:
        os.environ.pop(name, None)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Whoever asks for a database is a `db` test."""
    for item in items:
        if "addresses" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.db)


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    """The owner's address of a server, without a database of ours."""
    if given := os.environ.get("MEDBOT_TEST_POSTGRES"):
        yield given
        return
    # Not under pytest's own folder: that one is private, and the server has a user of its own.
    folder = Path(tempfile.mkdtemp(prefix="medbot-test-"))
    folder.chmod(0o755)
    with embedded.running_server(folder) as socket_dir:
        yield embedded.address(socket_dir, "postgres", "postgres")
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def template(postgres: str) -> Iterator[str]:
    """The name of a migrated database to copy."""
    name = f"template_{secrets.token_hex(4)}"
    asyncio.run(_prepare(postgres, name))
    yield name
    asyncio.run(_run(postgres, f"drop database {name} with (force)"))


async def _prepare(postgres: str, name: str) -> None:
    await embedded.create_database(postgres, name)
    urls = _addresses(postgres, name)
    await migrations.apply(urls.owner, service_url=urls.service)


@pytest.fixture
async def addresses(postgres: str, template: str) -> AsyncIterator[Addresses]:
    """A fresh database: the owner's address and the service login's."""
    name = f"test_{secrets.token_hex(6)}"
    await _run(postgres, f"create database {name} template {template}")
    yield _addresses(postgres, name)
    await _run(postgres, f"drop database {name} with (force)")


@pytest.fixture
async def database(addresses: Addresses) -> AsyncIterator[Database]:
    """A pool under the service login."""
    async with open_database(addresses.service, application="test") as db:
        yield db


@pytest.fixture
async def signals(addresses: Addresses) -> AsyncIterator[Signals]:
    """Notifications of the test's database."""
    async with open_signals(addresses.service) as listening:
        yield listening


@pytest.fixture(scope="session")
def broker() -> Iterator[rabbitmq.Broker]:
    """A RabbitMQ; who stops it starts it again."""
    with rabbitmq.running_broker() as running:
        yield running


@pytest.fixture
async def issuer() -> AsyncIterator[Issuer]:
    """Signs tokens that services started with its address accept."""
    async with open_issuer() as issuer:
        yield issuer


@pytest.fixture
def clock() -> FixedClock:
    """Noon on the first of January 2030, until it is moved."""
    return FixedClock()


@pytest.fixture
async def person(addresses: Addresses) -> Actor:
    """Somebody with an account."""
    return await make_person(addresses)


async def make_person(addresses: Addresses) -> Actor:
    """Writes an account straight into the database, as the owner."""
    connection = await asyncpg.connect(addresses.owner)
    try:
        email = f"{secrets.token_hex(6)}@example.org"
        made = await connection.fetchval(
            "insert into auth.users (id, email) values (gen_random_uuid(), $1) returning id", email
        )
    finally:
        await connection.close()
    return Actor.of_person(made, email=email)


def _addresses(postgres: str, name: str) -> Addresses:
    parts = urlsplit(postgres)
    server = parts.netloc.rpartition("@")[2]
    login = embedded.SERVICE_LOGIN if not parts.password else f"{embedded.SERVICE_LOGIN}:service"
    service = _unsplit(postgres, f"{login}@{server}", name)
    if pooler := os.environ.get("MEDBOT_TEST_POOLER"):
        service = servers.through(pooler, service)
    return Addresses(owner=_unsplit(postgres, parts.netloc, name), service=service)


def _unsplit(url: str, netloc: str, name: str) -> str:
    return urlunsplit(urlsplit(url)._replace(netloc=netloc, path=f"/{name}"))


async def _run(url: str, statement: str) -> None:
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(statement)
    finally:
        await connection.close()
