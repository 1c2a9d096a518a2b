"""Builds a service: its lifespan, its doors, its health, its documents."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from importlib import metadata
from typing import Any, Protocol, TypeVar

from fastapi import APIRouter, FastAPI, Request
from starlette.responses import JSONResponse

from kit import logs, problems, settings
from kit.database import Clock
from kit.edge import Edge
from kit.identity import Verifier

Check = Callable[[], Awaitable[object]]
"""Raises when a dependency cannot be used now."""

READY_WITHIN = 2.0

PUBLIC: dict[str, Any] = {"security": []}
"""`openapi_extra` of a route that anybody may call."""


@dataclass(frozen=True, slots=True)
class Ground:
    """What the frame of a service needs from its context."""

    verifier: Verifier
    service_secret: str
    clock: Clock
    checks: Mapping[str, Check] = field(default_factory=dict)


class Context(Protocol):
    """A service's composition root: whatever its slices need, and the ground."""

    @property
    def ground(self) -> Ground: ...


S = TypeVar("S", bound=settings.Settings)
OpenContext = Callable[[S], AbstractAsyncContextManager[Context]]


def build_app(
    name: str,
    settings_type: type[S],
    open_context: OpenContext[S],
    *routers: APIRouter,
    given: S | None = None,
) -> FastAPI:
    """The application of the service `name`. Nothing is opened before its lifespan starts.

    `given` settings are used as they are; without them the environment is read at the start.
    """

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        chosen = given if given is not None else settings.load(settings_type)
        logs.configure(
            json_lines=chosen.log_format == "json", keep_pii=chosen.debug, file=chosen.log_file
        )
        async with open_context(chosen) as context:
            app.state.context = context
            app.state.service = name
            app.state.verifier = context.ground.verifier
            app.state.service_secret = context.ground.service_secret
            app.state.clock = context.ground.clock
            app.state.checks = context.ground.checks
            yield

    app = FastAPI(
        title=f"Medbot {name} service",
        version=metadata.version("kit"),
        lifespan=lifespan,
        redirect_slashes=False,
        responses={"default": {"description": "A problem", "model": problems.Problem}},
    )
    problems.install(app)
    app.include_router(_health(name))
    for router in routers:
        app.include_router(router)
    app.add_middleware(Edge)
    return app


def _health(name: str) -> APIRouter:
    router = APIRouter(tags=["health"])

    @router.get("/health", openapi_extra=PUBLIC)
    async def health() -> dict[str, str]:
        return {"status": "ok", "service": name, "version": metadata.version("kit")}

    @router.get("/ready", openapi_extra=PUBLIC, response_model=None)
    async def ready(request: Request) -> JSONResponse:
        return await readiness(request.app.state.checks)

    return router


async def readiness(checks: Mapping[str, Check]) -> JSONResponse:
    """Asks every dependency at once; 200 when all answer, else 503, one row each."""
    rows = await asyncio.gather(*(_row(name, check) for name, check in checks.items()))
    ok = all(row["ok"] for row in rows)
    status = "ready" if ok else "not ready"
    return JSONResponse({"status": status, "checks": rows}, status_code=200 if ok else 503)


async def _row(name: str, check: Check) -> dict[str, Any]:
    started = time.perf_counter()
    error: str | None = None
    try:
        async with asyncio.timeout(READY_WITHIN):
            await check()
    except Exception as failed:  # a check may fail in any way; the row says which
        error = type(failed).__name__
    ms = round((time.perf_counter() - started) * 1000, 1)
    return {"name": name, "ok": error is None, "error": error, "ms": ms}
