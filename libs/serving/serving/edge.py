"""The outermost ring of a service: ids, limits, a log line a request, no traceback outside."""

import time
from typing import Any

from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from kit import logs, trace
from kit.errors import DomainError, Misconfigured, ServiceUnavailable
from serving import problems
from telemetry import Exchange, Telemetry

MAX_BODY = 1024 * 1024
"""Bytes of a request's body."""

_log = logs.get(__name__)


class Edge:
    """ASGI middleware around a whole service, whose requests `telemetry` counts and traces."""

    def __init__(self, app: ASGIApp, *, telemetry: Telemetry, max_body: int = MAX_BODY) -> None:
        self._app = app
        self._telemetry = telemetry
        self._max_body = max_body

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, _short_start_failure(send))
            return
        headers = dict(scope["headers"])
        trace.request_id.set(trace.accept_request_id(_text(headers.get(b"x-request-id"))))
        offered = _text(headers.get(b"traceparent"))
        socket = scope["type"] == "websocket"
        method = "GET" if socket else scope["method"]
        exchange = Exchange(self._telemetry, method, scope["path"], offered, socket=socket)
        if not socket:
            await self._http(exchange, scope, receive, send)
            return
        try:
            await self._app(scope, receive, send)
        finally:
            exchange.end(_route(scope), 0)

    async def _http(self, exchange: Exchange, scope: Scope, receive: Receive, send: Send) -> None:
        started = time.perf_counter()
        status = 0

        async def send_with_id(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [
                    *message.get("headers", ()),
                    (b"x-request-id", trace.request_id.get().encode()),
                ]
            await send(message)

        try:
            await self._app(scope, self._limited(receive), send_with_id)
        except Exception as error:
            problem = problems.of_unexpected(error)
            if status:
                raise DomainError("the answer was cut") from None
            later = ServiceUnavailable.retry_after if problem["status"] == 503 else None
            await problems.response(problem, retry_after=later)(scope, receive, send_with_id)
        finally:
            _log.info(
                "request.done",
                method=scope["method"],
                route=_route(scope),
                status=status,
                ms=round((time.perf_counter() - started) * 1000, 2),
            )
            exchange.end(_route(scope), status)

    def _limited(self, receive: Receive) -> Receive:
        received = 0

        async def limited() -> Message:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            if received > self._max_body:
                raise HTTPException(413)
            return message

        return limited


def _short_start_failure(send: Send) -> Send:
    """A start that fails says so in one line, not by a traceback."""

    async def short(message: Message) -> None:
        if message["type"] == "lifespan.startup.failed":
            lines = str(message.get("message", "")).strip().splitlines() or [""]
            _, found, reason = lines[-1].partition(f"{Misconfigured.__name__}: ")
            message = {**message, "message": f"cannot start: {reason if found else lines[-1]}"}
        await send(message)

    return short


def _route(scope: Scope) -> str | None:
    """The template of the route that was taken."""
    return getattr(scope.get("route"), "path", None)


def _text(value: Any) -> str | None:
    return value.decode("latin-1") if value is not None else None
