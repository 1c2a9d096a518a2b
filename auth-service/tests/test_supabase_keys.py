"""The keys of a Supabase project that cannot be reached: it is left alone for a while."""

import asyncio
from contextlib import AsyncExitStack

import httpx
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route
from supabase_server import Project

from auth_service.testing import Auth, make_app
from kit import outgoing
from kit.testing import FixedClock, serve
from kit.testing.ports import free_port


async def opened(
    stack: AsyncExitStack, project: Project, clock: FixedClock, **settings: str
) -> Auth:
    app = make_app(project.service_url, clock, **(project.settings | settings))
    served = await stack.enter_async_context(serve(app))
    http = httpx.AsyncClient(base_url=served.url, timeout=30)
    return Auth(app, await stack.enter_async_context(http))


async def test_they_are_not_asked_for_while_it_cannot_be_reached(
    project: Project, clock: FixedClock
) -> None:
    port, asked = free_port(), 0

    async def keys(request: Request) -> JSONResponse:
        nonlocal asked
        asked += 1
        return JSONResponse({"keys": []})

    async with AsyncExitStack() as stack:
        alice = await (await opened(stack, project, clock)).register("alice@example.org")
        away = f"http://127.0.0.1:{port}"
        other = await opened(stack, project, clock, next_public_supabase_url=away)

        async def seen() -> tuple[int, int]:
            return (await other.get("/api/v1/profile", alice.access)).status_code, asked

        assert [await seen() for _ in range(outgoing.FAILURES)] == [(503, 0)] * outgoing.FAILURES
        async with serve(Starlette(routes=[Route("/{path:path}", keys)]), port=port):
            assert await seen() == (503, 0)
            await asyncio.sleep(outgoing.PAUSE)
            assert await seen() == (401, 1)
