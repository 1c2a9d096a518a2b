"""Tells by HTTP whether a worker may be sent calls: `GET /ready` on a port of its own."""

import asyncio
import socket

import structlog
from aiohttp import web
from livekit.agents import AgentServer

_log = structlog.stdlib.get_logger(__name__)


class Readiness:
    """Answers 200 while the media server knows the worker and may send it calls, else 503; from the
    moment on when `server` has started."""

    def __init__(self, server: AgentServer, host: str, port: int) -> None:
        self._server, self._host, self._port = server, host, port
        self._registered = False
        self._serving: asyncio.Task[web.AppRunner] | None = None
        server.on("worker_started", self._started)
        server.on("worker_registered", self._known)

    def _started(self) -> None:
        self._serving = asyncio.create_task(self._serve())

    def _known(self, *_: object) -> None:
        self._registered = True
        _log.info("worker.registered")

    async def aclose(self) -> None:
        """Answers no more."""
        if self._serving is not None:
            await (await self._serving).cleanup()

    async def _serve(self) -> web.AppRunner:
        app = web.Application()
        app.add_routes([web.get("/ready", self._answer)])
        runner = web.AppRunner(app)
        await runner.setup()
        await web.SockSite(runner, _listening(self._host, self._port)).start()
        return runner

    async def _answer(self, _: web.Request) -> web.Response:
        known = (
            self._registered and not self._server._connecting
        )  # nothing public tells of its loss
        return web.Response(status=200 if known and not self._server.draining else 503)


def _listening(host: str, port: int) -> socket.socket:
    """At `::` it answers callers of IPv4 too, as every service does."""
    if ":" in host:
        return socket.create_server((host, port), family=socket.AF_INET6, dualstack_ipv6=True)
    return socket.create_server((host, port))
