"""A service on a real socket, in the loop of the test."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any

import uvicorn
from starlette.types import ASGIApp

from kit.server import Server, config

START_WITHIN = 20.0


@dataclass(frozen=True, slots=True)
class Served:
    """Where an application answers."""

    url: str
    port: int


async def _run(server: uvicorn.Server, bound: socket.socket) -> None:
    """Serves; a failed start, which uvicorn ends by `SystemExit`, just ends."""
    with suppress(SystemExit):
        await server._serve([bound])


@asynccontextmanager
async def serve(app: ASGIApp, *, port: int = 0, **given: Any) -> AsyncIterator[Served]:
    """Serves `app` with its lifespan; `port` 0 takes a free one; `given` is for `config`."""
    # Without its protocol named, asyncio leaves what it accepts with Nagle's algorithm on.
    with socket.socket(proto=socket.IPPROTO_TCP) as bound:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind(("127.0.0.1", port))
        port = bound.getsockname()[1]
        server = Server(config(app, drain=1, **given))
        task = asyncio.create_task(_run(server, bound))
        try:
            async with asyncio.timeout(START_WITHIN):
                while not server.started:
                    if task.done():
                        raise RuntimeError("the service ended before it started; its log says why")
                    await asyncio.sleep(0.005)
            yield Served(f"http://127.0.0.1:{port}", port)
        finally:
            server.should_exit = True
            await task
