"""One request as a span and as a count, by the template of its route and never by its path."""

import time

from telemetry import catalogue
from telemetry.service import Telemetry
from telemetry.spans import Kind, Span, tracing

METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
PROBES = frozenset({"/health", "/ready", "/metrics"})
"""Asked every few seconds by machines: counted, not traced."""

NOWHERE = "unmatched"
"""The route of a path that leads nowhere."""


class Exchange:
    """From the head of a request to the end of its answer; a socket, to its close."""

    __slots__ = ("_method", "_socket", "_span", "_started", "_telemetry")

    def __init__(
        self,
        telemetry: Telemetry,
        method: str,
        path: str,
        offered: str | None,
        *,
        socket: bool = False,
    ) -> None:
        telemetry.enter()
        if path in PROBES:
            tracing.set(None)
        self._method = method if method in METHODS else "_OTHER"
        self._socket = socket
        self._telemetry = telemetry
        self._started = time.perf_counter()
        self._running(1)
        self._span = Span(self._method, Kind.SERVER, parent=offered, root=True)

    def end(self, route: str | None, status: int, failure: str | None = None) -> float:
        """It is over; the seconds that it took. `status` 0: there was no answer."""
        seconds = time.perf_counter() - self._started
        where = route or NOWHERE
        self._running(-1)
        if not self._socket:
            catalogue.REQUEST_SECONDS.observe(seconds, self._method, where, str(status))
        if self._span.recorded:
            self._span.name(f"{self._method} {where}")
            told: dict[str, str | int] = {"http.request.method": self._method, "http.route": where}
            if status:
                told["http.response.status_code"] = status
            self._span.note(told)
        self._span.end(failure or (str(status) if status >= 500 else None))
        return seconds

    def _running(self, change: int) -> None:
        if self._socket:
            self._telemetry.sockets += change
        else:
            self._telemetry.requests += change
