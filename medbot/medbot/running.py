"""Runs an ASGI application in this loop: its lifespan, then a server on a socket of its own."""

import asyncio
import contextlib
import errno
import resource
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import uvicorn
from starlette.types import ASGIApp, Message

from kit import server, settings
from kit.errors import Misconfigured
from medbot.terminal import Failed


class PortTaken(Exception):
    """Another program listens there."""


def allow_many_connections() -> None:
    """Lets this process open as many files as it may, not only as many as is usual."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def bind(host: str, port: int) -> socket.socket:
    """A socket for `serving`; nobody can connect before it serves.

    Raises:
        PortTaken: another program listens there.
        Failed: the address cannot be used at all.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    bound = socket.socket(family, proto=socket.IPPROTO_TCP)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        bound.bind((host, port))
    except OSError as error:
        bound.close()
        if error.errno == errno.EADDRINUSE:
            raise PortTaken from error
        raise Failed(f"cannot listen on {host}:{port}: {error.strerror}") from error
    return bound


@asynccontextmanager
async def lifespan(app: ASGIApp) -> AsyncIterator[None]:
    """Starts the application and, on leaving, ends it; raises what its start raised."""
    inbox: asyncio.Queue[Message] = asyncio.Queue()
    started: asyncio.Future[Message] = asyncio.get_running_loop().create_future()

    async def send(message: Message) -> None:
        if not started.done():
            started.set_result(message)

    scope: dict[str, Any] = {
        "type": "lifespan",
        "asgi": {"version": "3.0", "spec_version": "2.0"},
        "state": {},
    }
    task = asyncio.ensure_future(app(scope, inbox.get, send))
    first: list[asyncio.Future[Any]] = [task, started]
    try:
        await inbox.put({"type": "lifespan.startup"})
        await asyncio.wait(first, return_when=asyncio.FIRST_COMPLETED)
        if task.done() or started.result()["type"] == "lifespan.startup.failed":
            await task
            reason = str(started.result().get("message", "it ended at its start"))
            raise Misconfigured(reason.removeprefix("cannot start: "))
        yield
        await inbox.put({"type": "lifespan.shutdown"})
        await task
    finally:
        if not task.done():
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


class _Server(server.Server):
    """Leaves the signals to whoever runs several servers in one process."""

    def __init__(self, config: uvicorn.Config, *, grace: float) -> None:
        super().__init__(config, grace=grace)
        self.listens = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        try:
            await super().startup(sockets)
        finally:
            self.listens.set()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


@asynccontextmanager
async def serving(
    app: ASGIApp, bound: socket.socket, chosen: settings.Settings
) -> AsyncIterator[None]:
    """Serves until the block is left; then takes nothing new and lets what is open end.

    Where the block was left by a cancellation, what is open is cut at once.
    """
    config = server.config(
        app,
        drain=chosen.drain_seconds,
        head_within=chosen.request_head_timeout,
        lifespan=False,
    )
    serves = _Server(config, grace=chosen.drain_grace_seconds)
    task = asyncio.create_task(serves.serve([bound]))
    try:
        await serves.listens.wait()
        yield
    finally:
        current = asyncio.current_task()
        serves.force_exit = current is not None and current.cancelling() > 0
        serves.should_exit = True
        with contextlib.closing(bound):
            await task
