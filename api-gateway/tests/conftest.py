"""A gateway on a real socket in front of a service of bytes."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest

from api_gateway.main import Gateway
from api_gateway.settings import Settings
from api_gateway.testing import WireService, wire_service
from kit.identity import Actor, Role
from kit.testing import Served, serve
from kit.testing.issuing import SERVICE_SECRET, Issuer


@dataclass
class Door:
    """The gateway, the service behind it, and a client with a token."""

    served: Served
    service: WireService
    client: httpx.AsyncClient
    token: str

    @property
    def port(self) -> int:
        return self.served.port

    @property
    def authorization(self) -> bytes:
        return f"Authorization: Bearer {self.token}\r\n".encode()


Open = Callable[..., Awaitable[Door]]


@pytest.fixture
def alice() -> Actor:
    return Actor(id=uuid4(), kind="person", roles=frozenset({Role.PATIENT}), session_id=uuid4())


@pytest.fixture
async def open_door(issuer: Issuer, alice: Actor, tmp_path: Path) -> AsyncIterator[Open]:
    """Opens a gateway with the given settings; closes all at the end of the test."""
    async with AsyncExitStack() as stack:

        async def open_one(**given: Any) -> Door:
            service = await stack.enter_async_context(wire_service())
            settings = Settings(
                **{
                    "auth_service_url": issuer.url,
                    "conversation_service_url": service.url,
                    "voice_service_url": service.url,
                    "service_token_secret": SERVICE_SECRET,
                    "data_dir": tmp_path,
                }
                | given
            )
            served = await stack.enter_async_context(serve(Gateway(settings)))
            token = issuer.token(alice)
            client = httpx.AsyncClient(
                base_url=served.url, headers={"authorization": f"Bearer {token}"}, timeout=10
            )
            await stack.enter_async_context(client)
            return Door(served, service, client, token)

        yield open_one


@pytest.fixture
async def door(open_door: Open) -> Door:
    """A gateway with its usual settings."""
    return await open_door()
