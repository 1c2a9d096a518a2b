"""The connections to one service, how many there may be, and the clock over their exchanges."""

import asyncio
import math
import ssl
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from urllib.parse import urlsplit

from api_gateway import refusals
from api_gateway.connection import ClientLeft, Connection, Cut
from api_gateway.room import Room
from kit import background
from kit.circuit import Circuit
from kit.errors import Misconfigured

TICK = 0.1
"""Seconds between two looks at the running exchanges; time limits are kept to this grain."""

MAX_IDLE = 4.0
"""Seconds that an idle connection is kept: less than the 5 s after which uvicorn closes one, so
that a request seldom meets a closing connection."""

WAITING = 4
"""So many times as many as are asked at once may wait for their turn."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Time limits in seconds; `whole` is not for streams, `idle` is between two parts of one,
    `reply` is for both the first byte and the whole of a reply that is waited for.

    `requests` at once are asked, others wait for `wait` seconds; as many long bodies are read at
    once, `streams` and `sockets` are counted apart. After `failures` in a row a service is left
    alone for `pause` seconds.
    """

    connect: float
    first_byte: float
    whole: float
    idle: float
    reply: float
    requests: int
    streams: int
    sockets: int
    wait: float
    failures: int
    pause: float


class Pool:
    """Connections to the service `name` at `url` (`http` or `https`, no path)."""

    def __init__(self, name: str, url: str, limits: Limits) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.path.strip("/"):
            raise Misconfigured(f"{name.upper()}_SERVICE_URL: not an http address without a path")
        self.name = name
        self.url = f"{parts.scheme}://{parts.netloc}"
        self.authority = parts.netloc.rpartition("@")[2].encode()
        self._host = parts.hostname
        self._port = parts.port or (443 if parts.scheme == "https" else 80)
        self._tls = ssl.create_default_context() if parts.scheme == "https" else None
        self.limits = limits
        self.circuit = Circuit(name, failures=limits.failures, pause=limits.pause)
        self.requests = Room(
            f"{name} requests",
            limits.requests,
            waiting=WAITING * limits.requests,
            within=limits.wait,
        )
        self.bodies = Room(
            f"{name} long bodies",
            limits.requests,
            waiting=WAITING * limits.requests,
            within=limits.wait,
        )
        self.streams = Room(f"{name} streams", limits.streams)
        self.sockets = Room(f"{name} sockets", limits.sockets)
        self.leave_by: float | None = None
        self._probe: asyncio.Task[None] | None = None
        self._idle: list[Connection] = []
        self._busy: set[Connection] = set()

    def admit(self) -> None:
        """Raises CircuitOpen unless the service may be asked."""
        if self.circuit.open:
            raise refusals.CircuitOpen(max(1, math.ceil(self.circuit.wait)))

    def judge(self, status: int) -> None:
        """Tells the circuit: no service says 502 or 504 itself, so these come from on the way."""
        if status in (502, 504):
            self.circuit.failed()
        else:
            self.circuit.answered()

    def refuse_early(self, *, patient: bool) -> None:
        """Spares the work on a request that would be refused in any case.

        Raises:
            CircuitOpen, Overloaded
        """
        self.admit()
        room = self.streams if patient else self.requests
        if room.crowded:
            raise room.refusal()

    def waiting(self) -> Connection | None:
        """A connection that is open and free, if there is one."""
        while self._idle:
            connection = self._idle.pop()
            if not connection.closed:
                self._busy.add(connection)
                return connection
        return None

    async def fresh(self) -> Connection:
        """A new connection.

        Raises:
            Unavailable: the service refuses.
            TimedOut: it does not take up the connection in time.
        """
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(self.limits.connect):
                _, connection = await loop.create_connection(
                    lambda: Connection(self._lost), self._host, self._port, ssl=self._tls
                )
        except TimeoutError:
            raise refusals.TimedOut from None
        except OSError:
            raise refusals.Unavailable from None
        self._busy.add(connection)
        return connection

    def release(self, connection: Connection, *, reusable: bool) -> None:
        """Ends an exchange; a connection that may not carry another is closed at once."""
        self._busy.discard(connection)
        if reusable and connection.reusable and not connection.closed:
            connection.parked = 0.0
            connection.watch = None
            self._idle.append(connection)
        else:
            connection.drop()

    def tick(self, now: float) -> None:
        """Keeps the time limits; `now` in seconds of the loop's clock."""
        if self.circuit.open and self._probe is None and self.circuit.admits():
            self._probe = asyncio.create_task(self._ask_health())
        for connection in tuple(self._busy):
            self._look_at(connection, now)
        for connection in tuple(self._idle):
            if not connection.parked:
                connection.parked = now
            elif now - connection.parked > MAX_IDLE:
                self._idle.remove(connection)
                connection.abort()

    def leave(self, by: float) -> None:
        """The gateway leaves: streams without an end are ended now, others at the time `by`, or at
        the one that was said first."""
        if self.leave_by is None:
            self.leave_by = by

    def close(self) -> None:
        """Cuts every connection."""
        if self._probe is not None:
            self._probe.cancel()
        for connection in (*self._idle, *self._busy):
            connection.abort()
        self._idle.clear()

    def _look_at(self, connection: Connection, now: float) -> None:
        if not connection.opened:
            connection.opened = connection.heard = now
            connection.fresh = False
            return
        if connection.fresh:
            connection.heard = now
            connection.fresh = False
        if connection.watch is not None:
            connection.watch()
        if self._overdue(connection, now):
            connection.fail(refusals.TimedOut())
        elif self._to_be_left(connection, now):
            connection.fail(refusals.Restarting())

    def _to_be_left(self, connection: Connection, now: float) -> bool:
        if self.leave_by is None or not connection.streaming:
            return False
        return connection.endless or now > self.leave_by

    def _overdue(self, connection: Connection, now: float) -> bool:
        silent, limits = now - connection.heard, self.limits
        first, whole = limits.first_byte, limits.whole
        if connection.patient:
            first = whole = limits.reply
        if not connection.streaming and now - connection.opened > whole:
            return True
        return silent > (limits.idle if connection.answered else first)

    async def _ask_health(self) -> None:
        """The probe of an open circuit: a request of our own, so that nobody's is at stake."""
        answered = False
        try:
            connection = await self.fresh()
            connection.begin(bodiless=False)
            try:
                connection.write(b"GET /health HTTP/1.1\r\nhost: %b\r\n\r\n" % self.authority)
                async with asyncio.timeout(self.limits.connect):
                    await connection.head()
                answered = connection.status < 500
            finally:
                self.release(connection, reusable=False)
        except (refusals.Refusal, ClientLeft, Cut, TimeoutError):
            answered = False
        finally:
            self._probe = None
        if answered:
            self.circuit.answered()
        else:
            self.circuit.failed()

    def _lost(self, connection: Connection) -> None:
        if connection in self._idle:
            self._idle.remove(connection)


@asynccontextmanager
async def open_pools(
    services: dict[str, str | None], limits: Limits
) -> AsyncIterator[dict[str, Pool]]:
    """A pool for each service that has an address."""
    pools = {name: Pool(name, url, limits) for name, url in services.items() if url}
    async with background.running(exchange_limits=lambda: _watch_over(tuple(pools.values()))):
        yield pools
    for pool in pools.values():
        pool.close()


async def _watch_over(pools: Sequence[Pool]) -> None:
    loop = asyncio.get_running_loop()
    while True:
        for pool in pools:
            pool.tick(loop.time())
        await asyncio.sleep(TICK)
