"""A gateway on a real socket in front of a service of bytes."""

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest

from api_gateway.main import Gateway
from api_gateway.settings import Settings
from api_gateway.testing import Door, OpenDoor, wire_service
from kit.identity import Actor, Role
from kit.server import READ_WITHIN
from kit.testing import serve
from kit.testing.issuing import SERVICE_SECRET, Issuer
from kit.testing.ports import free_port


@pytest.fixture
def alice() -> Actor:
    return Actor(id=uuid4(), kind="person", roles=frozenset({Role.PATIENT}), session_id=uuid4())


@pytest.fixture
async def open_door(issuer: Issuer, alice: Actor, tmp_path: Path) -> AsyncIterator[OpenDoor]:
    """Opens a gateway with the given settings; closes all at the end of the test."""
    async with AsyncExitStack() as stack:

        async def open_one(
            *,
            made: Callable[[Gateway], None] = lambda _: None,
            read_within: float = READ_WITHIN,
            **given: Any,
        ) -> Door:
            service = await stack.enter_async_context(wire_service())
            chosen: dict[str, Any] = {
                "auth_service_url": issuer.url,
                "conversation_service_url": service.url,
                "voice_service_url": service.url,
                "service_token_secret": SERVICE_SECRET,
                "data_dir": tmp_path,
            } | given
            settings = Settings(**chosen)
            gateway = Gateway(settings)
            made(gateway)
            served = await stack.enter_async_context(serve(gateway, read_within=read_within))
            token = issuer.token(alice)
            client = httpx.AsyncClient(
                base_url=served.url,
                headers={"authorization": f"Bearer {token}"},
                timeout=10,
                verify=False,  # noqa: S501 plain http; saves loading certificates
            )
            await stack.enter_async_context(client)
            return Door(served, service, client, token)

        yield open_one


@pytest.fixture
async def door(open_door: OpenDoor) -> Door:
    """A gateway with its usual settings."""
    return await open_door()


@pytest.fixture
def unused_port() -> int:
    return free_port()
