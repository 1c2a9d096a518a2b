"""What one service tells of itself, and who may ask."""

import asyncio
import hmac
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from importlib.metadata import version
from urllib.parse import unquote

from telemetry import catalogue
from telemetry.metrics import Metrics, counting
from telemetry.spans import Tracer, tracing

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

LOOKS_WITHIN = 2.0
"""Seconds that a look at something beyond this process may take."""

LOOKS_EVERY = 5.0
"""Seconds for which what was seen is told again, however often somebody asks."""

Look = Callable[[], Awaitable[None]]
"""Sets gauges."""


@dataclass(frozen=True, slots=True)
class Collector:
    """Where spans go: the base of an OTLP address over HTTP.

    `headers` are `name=value` pairs with commas between, as OTLP has them: what a value may not
    hold otherwise, such as a space, is percent-encoded. `authorities` is a file with the CAs to
    trust, None the public ones. Of all traces the share `ratio` is recorded.
    """

    endpoint: str
    headers: str = ""
    ratio: float = 1.0
    authorities: str | None = None

    def pairs(self) -> dict[str, str]:
        """The headers by name."""
        split = (pair.partition("=") for pair in self.headers.split(",") if "=" in pair)
        return {name.strip().lower(): unquote(value.strip()) for name, _, value in split}


class Telemetry:
    """One service's counts and its tracer. A process may hold several services.

    `requests` and `sockets` are those that are going on.
    """

    def __init__(self, service: str) -> None:
        self.service = service
        self.metrics = Metrics()
        self.metrics.declare(catalogue.of(service))
        self.tracer: Tracer | None = None
        self.requests = 0
        self.sockets = 0
        self._looks: dict[str, Look] = {}
        self._looked = -LOOKS_EVERY
        self._looking = asyncio.Lock()

    def enter(self) -> None:
        """From here on, the running task and those that it starts count and trace for this."""
        here.set(self)
        counting.set(self.metrics)
        tracing.set(self.tracer)

    def look(self, name: str, look: Look) -> None:
        """Has `look` called before the counts are told."""
        self._looks[name] = look

    @asynccontextmanager
    async def exporting(self, collector: Collector | None) -> AsyncIterator[None]:
        """Records spans for as long as the block lasts, where there is a collector."""
        if collector is None:
            self.enter()
            yield
            return
        from telemetry.exporting import open_tracer

        async with open_tracer(
            collector, service=self.service, version=version("telemetry")
        ) as tracer:
            self.tracer = tracer
            self.enter()
            try:
                yield
            finally:
                self.tracer = None

    async def page(self) -> bytes:
        """Everything that was counted, in the text format of Prometheus."""
        async with self._looking:
            if time.monotonic() - self._looked >= LOOKS_EVERY:
                await asyncio.gather(*(self._ask(name) for name in self._looks))
                self._looked = time.monotonic()
        running = {catalogue.ACTIVE_REQUESTS: self.requests, catalogue.OPEN_SOCKETS: self.sockets}
        for gauge, value in running.items():
            self.metrics.child(gauge, ()).set(value)
        return self.metrics.render()

    async def _ask(self, name: str) -> None:
        counting.set(self.metrics)
        tracing.set(None)
        try:
            async with asyncio.timeout(LOOKS_WITHIN):
                await self._looks[name]()
        except Exception:  # what cannot be seen now is told as such
            catalogue.LOOK_FAILED.set(1, name)
        else:
            catalogue.LOOK_FAILED.set(0, name)


here: ContextVar[Telemetry | None] = ContextVar("telemetry", default=None)
"""The service on whose behalf the code runs."""


def look(name: str, look: Look) -> None:
    """Has the running service's gauges set by `look`; nothing where there is no service."""
    if (current := here.get()) is not None:
        current.look(name, look)


@dataclass(frozen=True, slots=True)
class Readers:
    """Who may read the counts: everybody, whoever has the token, or this machine.

    `loopback` is for services that no proxy passes requests on to.
    """

    token: str | None = None
    public: bool = False
    loopback: bool = False

    def may(self, authorization: str | None, peer: str | None) -> bool:
        """Whether a request with this header from this address may."""
        if self.public:
            return True
        if self.token is not None:
            offered = (authorization or "").encode("utf-8", "surrogateescape")
            return hmac.compare_digest(offered, f"Bearer {self.token}".encode())
        return self.loopback and peer in {"127.0.0.1", "::1", "::ffff:127.0.0.1"}
