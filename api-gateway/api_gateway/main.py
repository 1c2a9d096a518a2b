"""The gateway: the only public door."""

from contextlib import AsyncExitStack

from starlette.types import Receive, Scope, Send

from api_gateway import door, sockets
from api_gateway.context import Context, open_context
from api_gateway.settings import Settings
from kit import logs, settings
from kit.errors import Misconfigured


class Gateway:
    """A raw ASGI application; nothing is opened before its lifespan starts.

    `given` settings are used as they are; without them the environment is read at the start.
    """

    def __init__(self, given: Settings | None = None) -> None:
        self._given = given
        self._context: Context | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._live(receive, send)
            return
        assert self._context is not None, "the lifespan has not started"
        if scope["type"] == "http":
            await door.handle(self._context, scope, receive, send)
        else:
            await sockets.handle(self._context, scope, receive, send)

    async def _live(self, receive: Receive, send: Send) -> None:
        await receive()
        async with AsyncExitStack() as stack:
            try:
                chosen = self._given if self._given is not None else settings.load(Settings)
                logs.configure(
                    json_lines=chosen.log_format == "json",
                    keep_pii=chosen.debug,
                    file=chosen.log_file,
                )
                self._context = await stack.enter_async_context(open_context(chosen))
            except Misconfigured as wrong:
                failed = {"type": "lifespan.startup.failed", "message": f"cannot start: {wrong}"}
                await send(failed)
                return
            await send({"type": "lifespan.startup.complete"})
            await receive()
        self._context = None
        await send({"type": "lifespan.shutdown.complete"})


app = Gateway()
