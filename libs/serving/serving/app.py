"""Builds a service: its lifespan, its doors, its health, its documents."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from importlib import metadata
from typing import Any, Protocol, TypeVar

from fastapi import APIRouter, FastAPI, Request
from fastapi.telemetry import TelemetryConfig
from starlette.responses import JSONResponse, Response

from kit import logs, metrics, settings
from kit.database import Clock
from kit.errors import NotFound
from kit.identity import Verifier
from kit.server import Drain
from serving import problems, starting
from serving.bounds import Bounds
from serving.edge import Edge
from telemetry import CONTENT_TYPE, Telemetry

Check = Callable[[], Awaitable[object]]
"""Raises when a dependency cannot be used now."""

READY_WITHIN = 2.0

PUBLIC: dict[str, Any] = {"security": []}
"""`openapi_extra` of a route that anybody may call."""


SILENT: TelemetryConfig = {
    "tracing": False,
    "metrics": False,
    "logs": False,
    "operation_spans": False,
    "auto_configure": False,
}
"""FastAPI's own telemetry stays off: it tells texts of exceptions, which may quote a patient."""


@dataclass(frozen=True, slots=True)
class Ground:
    """What the frame of a service needs from its context.

    Without what `checks` asks the service is not ready; without the `spare` it still serves.
    """

    verifier: Verifier
    service_secret: str
    clock: Clock
    checks: Mapping[str, Check] = field(default_factory=dict)
    spare: Mapping[str, Check] = field(default_factory=dict)
    drain: Drain = field(default_factory=Drain)


class Context(Protocol):
    """A service's composition root: whatever its slices need, and the ground."""

    @property
    def ground(self) -> Ground: ...


S = TypeVar("S", bound=settings.Settings)
OpenContext = Callable[[S], AbstractAsyncContextManager[Context]]


class _Application(FastAPI):
    def openapi(self) -> dict[str, Any]:
        return problems.documented(super().openapi())


def build_app(
    name: str,
    settings_type: type[S],
    open_context: OpenContext[S],
    *routers: APIRouter,
    given: S | None = None,
) -> FastAPI:
    """The application of the service `name`. Nothing is opened before its lifespan starts.

    `given` settings are used as they are; without them the environment is read at the start. What
    it needs may start later: until then it refuses, and `/ready` says what it waits for.
    """

    telemetry = Telemetry(name)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        chosen = given if given is not None else settings.load(settings_type)
        logs.configure(
            json_lines=chosen.log_format == "json", keep_pii=chosen.debug, file=chosen.log_file
        )
        app.state.readers = metrics.readers(chosen, loopback=True)
        app.state.most_requests = chosen.service_requests
        app.state.most_streams = chosen.service_streams
        install, waits = partial(_install, app), partial(setattr, app.state, "waits_for")
        async with (
            metrics.telling(telemetry, chosen),
            starting.opened(lambda: open_context(chosen), install, waits),
        ):
            yield

    app = _Application(
        title=f"Medbot {name} service",
        version=metadata.version("kit"),
        lifespan=lifespan,
        redirect_slashes=False,
        telemetry=SILENT,
        responses={"default": {"description": "A problem", "model": problems.Problem}},
    )
    problems.install(app)
    app.include_router(_health(name))
    app.include_router(_metrics())
    app.state.telemetry = telemetry
    app.state.service = name
    app.state.waits_for = None
    app.state.drain = Drain()
    for router in routers:
        app.include_router(router)
    app.add_middleware(Bounds)
    app.add_middleware(Edge, telemetry=telemetry)
    return app


def _install(app: FastAPI, context: Context) -> None:
    """What routes find in the state of their application."""
    ground = context.ground
    app.state.context = context
    app.state.verifier = ground.verifier
    app.state.service_secret = ground.service_secret
    app.state.clock = ground.clock
    app.state.readiness = Readiness(ground.checks, ground.spare)
    app.state.drain = ground.drain


def _health(name: str) -> APIRouter:
    router = APIRouter(tags=["health"])

    @router.get("/health", openapi_extra=PUBLIC)
    async def health() -> dict[str, str]:
        return {"status": "ok", "service": name, "version": metadata.version("kit")}

    @router.get("/ready", openapi_extra=PUBLIC, response_model=None)
    async def ready(request: Request) -> JSONResponse:
        state = request.app.state
        if state.waits_for is not None:
            row = {"name": "start", "needed": True, "ok": False, "error": state.waits_for, "ms": 0}
            return JSONResponse({"status": "starting", "checks": [row]}, status_code=503)
        readiness: Readiness = state.readiness
        return await readiness.answer(draining=state.drain.announced)

    return router


def _metrics() -> APIRouter:
    """Not part of the interface: for those alone who look after the service."""
    router = APIRouter(include_in_schema=False)

    @router.get("/metrics", openapi_extra=PUBLIC)
    async def told(request: Request) -> Response:
        state, peer = request.app.state, request.client
        shown = state.readers.may(request.headers.get("authorization"), peer.host if peer else None)
        if not shown:
            raise NotFound
        return Response(await state.telemetry.page(), media_type=CONTENT_TYPE)

    return router


class Readiness:
    """Asks every dependency at once. However many want to know, one look at a time answers them:
    anybody may ask."""

    def __init__(self, checks: Mapping[str, Check], spare: Mapping[str, Check]) -> None:
        self._checks = checks
        self._spare = spare
        self._looking: asyncio.Task[list[dict[str, Any]]] | None = None

    async def answer(self, *, draining: bool) -> JSONResponse:
        """One row each; 200 when all that are needed answer, else 503.

        A service that is `draining` is not ready, whatever answers.
        """
        if self._looking is None or self._looking.done():
            self._looking = asyncio.create_task(self._look())
        rows = await asyncio.shield(self._looking)
        ok = not draining and all(row["ok"] for row in rows if row["needed"])
        status = "draining" if draining else "ready" if ok else "not ready"
        return JSONResponse({"status": status, "checks": rows}, status_code=200 if ok else 503)

    async def _look(self) -> list[dict[str, Any]]:
        return await asyncio.gather(
            *(_row(name, check, needed=True) for name, check in self._checks.items()),
            *(_row(name, check, needed=False) for name, check in self._spare.items()),
        )


async def _row(name: str, check: Check, *, needed: bool) -> dict[str, Any]:
    started = time.perf_counter()
    error: str | None = None
    try:
        async with asyncio.timeout(READY_WITHIN):
            await check()
    except Exception as failed:  # a check may fail in any way; the row says which
        error = type(failed).__name__
    ms = round((time.perf_counter() - started) * 1000, 1)
    return {"name": name, "needed": needed, "ok": error is None, "error": error, "ms": ms}
