"""How the gateway shows new tokens to the auth service, which may be away or have no time."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any
from uuid import uuid4

import jwt
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

import tokens
from kit.settings import Settings
from kit.testing import FixedClock, serve
from kit.testing.ports import free_port
from tokens.verification import FAILURES, open_verifier

PROJECT = "http://project.example"
SECRET = "the shared secret of a project, long enough"
AGAIN = 2
"""Seconds after which a token is shown again that nobody could see."""


class Auth:
    """An auth service on the loopback that says what it is told to, and counts what it is shown."""

    def __init__(self, clock: FixedClock) -> None:
        self.clock = clock
        self.port = free_port()
        self.says = 204
        self.takes = 0.0
        self.shown = 0

    async def see(self, _: Request) -> Response:
        self.shown += 1
        self.clock.advance(seconds=self.takes)
        return Response(status_code=self.says)

    async def ended(self, _: Request) -> Response:
        return JSONResponse({"session_ids": [], "cursor": 0, "more": False})

    @asynccontextmanager
    async def up(self) -> AsyncIterator[None]:
        routes = [
            Route("/internal/people/sighted", self.see, methods=["POST"]),
            Route("/internal/sessions/ended", self.ended),
        ]
        async with serve(Starlette(routes=routes), port=self.port):
            yield


@pytest.fixture
def auth(clock: FixedClock) -> Auth:
    return Auth(clock)


@pytest.fixture
async def gateway(auth: Auth, clock: FixedClock) -> AsyncIterator[tokens.Verifier]:
    settings = Settings.model_validate(
        {
            "auth_service_url": f"http://127.0.0.1:{auth.port}",
            "service_token_secret": "the secret that signs service tokens in tests",
            "database_url": "postgresql://nobody@127.0.0.1/none",
            "next_public_supabase_url": PROJECT,
            "next_public_supabase_anon_key": "the public key of a project",
            "supabase_jwt_secret": SECRET,
        }
    )
    async with open_verifier(settings, service="gateway", clock=clock) as verifier:
        yield verifier


def token(clock: FixedClock, **more: Any) -> str:
    now = int(clock().timestamp())
    claims = {
        "iss": f"{PROJECT}/auth/v1", "sub": str(uuid4()), "aud": "authenticated", "iat": now,
        "exp": now + 3600, "role": "authenticated", "session_id": str(uuid4()), **more,
    }  # fmt: skip
    return jwt.encode(claims, SECRET, "HS256")


async def test_a_token_that_was_seen_is_not_shown_again(
    auth: Auth, gateway: tokens.Verifier, clock: FixedClock
) -> None:
    person, guest = token(clock), token(clock, is_anonymous=True)
    async with auth.up():
        for seconds in (0, AGAIN, 3000):
            clock.advance(seconds=seconds)
            await gateway.verify(person)
            await gateway.verify(guest)
    assert auth.shown == 1


@pytest.mark.parametrize(("status", "takes"), [(None, 0), (429, 0), (500, 0), (503, 3)])
async def test_a_token_that_nobody_saw_is_let_in_and_shown_again_soon(
    auth: Auth, gateway: tokens.Verifier, clock: FixedClock, status: int | None, takes: float
) -> None:
    auth.takes, person = takes, token(clock)
    async with AsyncExitStack() as stack:
        if status is not None:
            auth.says = status
            await stack.enter_async_context(auth.up())
        await gateway.verify(person)
        tries = auth.shown
        await gateway.verify(person)
        assert auth.shown == tries  # who cannot see it is not asked at every request
        if status is None:
            await stack.enter_async_context(auth.up())
        auth.says = 401
        clock.advance(seconds=AGAIN)
        with pytest.raises(tokens.InvalidToken):
            await gateway.verify(person)
    assert auth.shown == tries + 1


async def test_an_auth_service_that_has_no_time_is_left_alone_for_a_while(
    auth: Auth, gateway: tokens.Verifier, clock: FixedClock
) -> None:
    auth.says = 503
    async with auth.up():
        for _ in range(3 * FAILURES):
            await gateway.verify(token(clock))
    assert auth.shown == FAILURES


async def test_a_token_that_is_seen_late_is_remembered_from_then_on(
    auth: Auth, gateway: tokens.Verifier, clock: FixedClock
) -> None:
    person = token(clock)
    await gateway.verify(person)
    async with auth.up():
        for _ in range(3):
            clock.advance(seconds=AGAIN)
            await gateway.verify(person)
    assert auth.shown == 1


async def test_a_token_that_nobody_saw_ends_when_it_expires(
    gateway: tokens.Verifier, clock: FixedClock
) -> None:
    person = token(clock, exp=int(clock().timestamp()) + 1)
    await gateway.verify(person)
    clock.advance(seconds=1)
    with pytest.raises(tokens.InvalidToken):
        await gateway.verify(person)
