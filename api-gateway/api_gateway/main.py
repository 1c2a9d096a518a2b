"""The gateway: the only public door."""

from contextlib import AsyncExitStack

from starlette.datastructures import State
from starlette.types import Message, Receive, Scope, Send

from api_gateway import door, sockets
from api_gateway.context import NAME, Context, open_context
from api_gateway.settings import Settings
from kit import logs, metrics, settings
from kit.errors import Misconfigured
from kit.server import Drain
from telemetry import Exchange, Telemetry


class Gateway:
    """A raw ASGI application; nothing is opened before its lifespan starts.

    `given` settings are used as they are; without them the environment is read at the start.
    """

    def __init__(self, given: Settings | None = None) -> None:
        self._given = given
        self._context: Context | None = None
        self.telemetry = Telemetry(NAME)
        self.state = State({"drain": Drain()})

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._live(receive, send)
            return
        assert self._context is not None, "the lifespan has not started"
        if scope["type"] == "http":
            await self._answer(self._context, scope, receive, send)
            return
        exchange = Exchange(self.telemetry, "GET", scope["path"], _trace(scope), socket=True)
        try:
            await sockets.handle(self._context, scope, receive, send)
        finally:
            exchange.end(scope.get(door.ROUTE), 0)

    async def _answer(self, context: Context, scope: Scope, receive: Receive, send: Send) -> None:
        exchange = Exchange(self.telemetry, scope["method"], scope["path"], _trace(scope))
        status = 0

        async def noting(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await door.handle(context, scope, receive, noting)
        finally:
            exchange.end(scope.get(door.ROUTE), status)

    async def _live(self, receive: Receive, send: Send) -> None:
        await receive()
        self.state.drain = Drain()
        async with AsyncExitStack() as stack:
            try:
                chosen = self._given if self._given is not None else settings.load(Settings)
                logs.configure(
                    json_lines=chosen.log_format == "json",
                    keep_pii=chosen.debug,
                    file=chosen.log_file,
                )
                await stack.enter_async_context(metrics.telling(self.telemetry, chosen))
                self._context = await stack.enter_async_context(
                    open_context(chosen, self.telemetry, self.state.drain)
                )
            except Misconfigured as wrong:
                failed = {"type": "lifespan.startup.failed", "message": f"cannot start: {wrong}"}
                await send(failed)
                return
            await send({"type": "lifespan.startup.complete"})
            await receive()
        self._context = None
        await send({"type": "lifespan.shutdown.complete"})


def _trace(scope: Scope) -> str | None:
    """The traceparent that a request came with."""
    found = next((value for name, value in scope["headers"] if name == b"traceparent"), None)
    return found.decode("latin-1") if found is not None else None


app = Gateway()
