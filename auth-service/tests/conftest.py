"""The auth service on a real socket over a real database, and people who use it."""

import asyncio
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack
from typing import Any

import asyncpg
import httpx
import pytest
import supabase_database
import supabase_server

from auth_service.mails.testing import PostOffice, open_post_office
from auth_service.testing import Auth, Member, make_app
from kit import embedded, outgoing
from kit.testing import Addresses, FixedClock, serve


@pytest.fixture
async def auth(addresses: Addresses, clock: FixedClock) -> AsyncIterator[Auth]:
    app = make_app(addresses.service, clock)
    async with (
        serve(app) as served,
        httpx.AsyncClient(base_url=served.url, timeout=30, verify=outgoing.trusted()) as http,
    ):
        yield Auth(app, http)


OpenAuth = Callable[..., Awaitable[Auth]]
"""Opens the service with the settings given by name."""


@pytest.fixture
async def open_auth(addresses: Addresses, clock: FixedClock) -> AsyncIterator[OpenAuth]:
    async with AsyncExitStack() as stack:

        async def open_one(**settings: Any) -> Auth:
            app = make_app(addresses.service, clock, **settings)
            served = await stack.enter_async_context(serve(app))
            http = httpx.AsyncClient(base_url=served.url, timeout=30, verify=outgoing.trusted())
            return Auth(app, await stack.enter_async_context(http))

        yield open_one


@pytest.fixture
async def post_office() -> AsyncIterator[PostOffice]:
    async with open_post_office() as office:
        yield office


@pytest.fixture
async def second(addresses: Addresses, clock: FixedClock) -> AsyncIterator[Auth]:
    """Another instance over the same database."""
    app = make_app(addresses.service, clock)
    async with (
        serve(app) as served,
        httpx.AsyncClient(base_url=served.url, timeout=30, verify=outgoing.trusted()) as http,
    ):
        yield Auth(app, http)


@pytest.fixture
async def owner(addresses: Addresses) -> AsyncIterator[Any]:
    """A connection that sees every row, to look at what is really there."""
    connection = await asyncpg.connect(addresses.owner)
    yield connection
    await connection.close()


@pytest.fixture
async def alice(auth: Auth) -> Member:
    return await auth.register("alice@example.org", full_name="Alice Example")


@pytest.fixture
async def bob(auth: Auth) -> Member:
    return await auth.register("bob@example.org")


@pytest.fixture(scope="session")
def project_template(postgres: str) -> Iterator[str]:
    """The name of a migrated database of a Supabase project, to copy."""
    with asyncio.Runner() as runner:
        making = supabase_database.migrated(postgres)
        yield runner.run(making.__aenter__())
        runner.run(making.__aexit__(None, None, None))


@pytest.fixture
async def project(
    postgres: str, project_template: str, clock: FixedClock
) -> AsyncIterator[supabase_server.Project]:
    """A Supabase project on the loopback, with a database of its own."""
    name = f"test_{secrets.token_hex(6)}"
    await supabase_database.run(postgres, f"create database {name} template {project_template}")
    made = supabase_server.Project(
        owner_url=supabase_database.login(postgres, supabase_database.OWNER, name),
        service_url=supabase_database.login(postgres, embedded.SERVICE_LOGIN, name),
        admin_url=supabase_database.login(postgres, supabase_database.ADMIN, name),
        root_url=supabase_database.login(postgres, None, name),
        clock=clock,
    )
    async with supabase_server.running(made) as running:
        yield running
    await supabase_database.run(postgres, f"drop database {name} with (force)")
