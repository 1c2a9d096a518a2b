"""An application in this loop: its start, its failure to start, its end."""

import asyncio
import socket
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from kit.errors import Misconfigured
from kit.settings import Settings
from medbot import running

Note = Callable[[str], None]


def _app(note: Note) -> Starlette:
    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        note("opened")
        yield
        note("closed")

    async def quick(_: Request) -> PlainTextResponse:
        return PlainTextResponse("here")

    async def endless(_: Request) -> PlainTextResponse:
        note("waiting")
        await asyncio.sleep(60)
        return PlainTextResponse("late")

    routes = [Route("/quick", quick), Route("/endless", endless)]
    return Starlette(routes=routes, lifespan=lifespan)


def _bound() -> tuple[socket.socket, str]:
    bound = running.bind("127.0.0.1", 0)
    return bound, f"http://127.0.0.1:{bound.getsockname()[1]}"


async def _until(notes: list[str], wanted: str) -> None:
    async with asyncio.timeout(10):
        while wanted not in notes:
            await asyncio.sleep(0.01)


async def test_it_answers_between_its_start_and_its_end() -> None:
    notes: list[str] = []
    app, (bound, url) = _app(notes.append), _bound()
    async with running.lifespan(app):
        async with running.serving(app, bound, Settings()), httpx.AsyncClient() as http:
            assert (await http.get(f"{url}/quick")).text == "here"
        assert notes == ["opened"]
    assert notes == ["opened", "closed"]


async def test_a_start_that_fails_raises_what_it_raised() -> None:
    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        raise Misconfigured("SOME_NAME: no")
        yield

    with pytest.raises(Misconfigured, match=r"^SOME_NAME: no$"):
        async with running.lifespan(Starlette(lifespan=lifespan)):
            pytest.fail("it never started")


async def test_a_start_that_only_says_that_it_failed_is_told_in_its_words() -> None:
    async def refuses(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "lifespan.startup.failed", "message": "cannot start: SOME_NAME: no"})

    with pytest.raises(Misconfigured, match=r"^SOME_NAME: no$"):
        async with running.lifespan(refuses):
            pytest.fail("it never started")


async def test_a_cancelled_one_cuts_what_is_open_at_once() -> None:
    notes: list[str] = []
    app, (bound, url) = _app(notes.append), _bound()

    async def serve(app: ASGIApp) -> None:
        async with running.lifespan(app), running.serving(app, bound, Settings()):
            await asyncio.sleep(60)

    serving = asyncio.create_task(serve(app))
    async with httpx.AsyncClient() as http:
        await _until(notes, "opened")
        asking = asyncio.create_task(http.get(f"{url}/endless"))
        await _until(notes, "waiting")
        started = time.monotonic()
        serving.cancel()
        await asyncio.gather(serving, return_exceptions=True)
        assert time.monotonic() - started < Settings().drain_seconds / 2
        asking.cancel()
        await asyncio.gather(asking, return_exceptions=True)
    assert serving.cancelled()


async def test_a_port_that_somebody_listens_on_is_taken() -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        with pytest.raises(running.PortTaken):
            running.bind("127.0.0.1", other.getsockname()[1])
