"""The auth service on a real socket over a real database, and people who use it."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Any

import asyncpg
import httpx
import pytest

from auth_service.mails.testing import PostOffice, open_post_office
from auth_service.testing import Auth, Member, make_app
from kit.testing import Addresses, FixedClock, serve


@pytest.fixture
async def auth(addresses: Addresses, clock: FixedClock) -> AsyncIterator[Auth]:
    app = make_app(addresses.service, clock)
    async with serve(app) as served, httpx.AsyncClient(base_url=served.url, timeout=30) as http:
        yield Auth(app, http)


OpenAuth = Callable[..., Awaitable[Auth]]
"""Opens the service with the settings given by name."""


@pytest.fixture
async def open_auth(addresses: Addresses, clock: FixedClock) -> AsyncIterator[OpenAuth]:
    async with AsyncExitStack() as stack:

        async def open_one(**settings: Any) -> Auth:
            app = make_app(addresses.service, clock, **settings)
            served = await stack.enter_async_context(serve(app))
            http = httpx.AsyncClient(base_url=served.url, timeout=30)
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
    async with serve(app) as served, httpx.AsyncClient(base_url=served.url, timeout=30) as http:
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
