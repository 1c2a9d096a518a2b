"""One HTTP/1.1 connection to a service: llhttp reads it, nothing is held back, nothing piles up.

Why not a client library: on one core this passes more than twice the requests of the fastest one
(`bench/README.md`), and the proxy needs to see what libraries hide: the very bytes as they come,
whether an answer was whole, and when to stop reading.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import cast

import httptools

from api_gateway import refusals

HIGH_WATER = 128 * 1024
"""Bytes of an answer that may wait for a slow client before the service is made to wait."""

MAX_ANSWER_HEADERS = 64 * 1024


class ClientLeft(Exception):
    """Nobody reads the answer any more."""


class Cut(Exception):
    """The service broke off in the middle of its answer."""


class Connection(asyncio.Protocol):
    """Carries one exchange at a time. `fail` ends the running one, whoever waits for it.

    `watch` is called by the pool for an exchange that lasts longer than an instant. `patient` and
    `endless` tell the pool what to expect: a reply that is waited for, a stream without an end.
    """

    __slots__ = (
        "_bodiless", "_body_length_known", "_buffered", "_failure", "_header_bytes", "_loop",
        "_on_idle_lost", "_parser", "_parts", "_reading_paused", "_transport", "_waiter",
        "answered", "closed", "done", "endless", "fresh", "headers", "heard",
        "opened", "parked", "patient", "reusable", "status", "streaming", "watch",
    )  # fmt: skip

    def __init__(self, on_lost: Callable[["Connection"], None]) -> None:
        self._loop = asyncio.get_running_loop()
        self._on_idle_lost = on_lost
        self._parser = httptools.HttpResponseParser(self)
        self._transport: asyncio.Transport | None = None
        self._parts: deque[bytes] = deque()
        self._waiter: asyncio.Future[None] | None = None
        self._reading_paused = False
        self.closed = False
        self.parked = 0.0
        self.begin(bodiless=False)
        self.done = True  # idle: whatever comes now was not asked for

    def begin(self, *, bodiless: bool, watch: Callable[[], None] | None = None) -> None:
        """Makes ready for one exchange; `bodiless` when its answer has no body (HEAD)."""
        self._bodiless = bodiless
        self._body_length_known = False
        self._buffered = 0
        self._header_bytes = 0
        self._failure: Exception | None = None
        self.headers: list[tuple[bytes, bytes]] = []
        self.status = 0
        self.answered = self.done = self.reusable = self.streaming = False
        self.patient = self.endless = False
        self.fresh = False
        self.opened = self.heard = 0.0
        self.watch = watch

    # What the relay calls

    def write(self, data: bytes) -> None:
        """Sends to the service."""
        assert self._transport is not None
        self._transport.write(data)

    async def head(self) -> None:
        """Waits for the status and the headers.

        Raises:
            BadAnswer, TimedOut, ClientLeft: there will be none.
        """
        while not self.answered:
            if self._failure is not None:
                raise self._failure
            await self._more()

    async def chunk(self) -> bytes:
        """The next bytes of the body as they came, `b""` at its end.

        Raises:
            Cut, TimedOut, ClientLeft: the body will never be whole.
        """
        while not self._parts:
            if self._failure is not None:
                raise self._failure
            if self.done:
                return b""
            await self._more()
        return self.taken()

    def taken(self) -> bytes:
        """All that has come of the body and was not taken yet."""
        parts = self._parts
        body = parts.popleft() if len(parts) == 1 else b"".join(parts)
        parts.clear()
        self._buffered = 0
        self.fresh = True
        if self._reading_paused and self._transport is not None:
            self._reading_paused = False
            self._transport.resume_reading()
        return body

    def fail(self, error: Exception) -> None:
        """Ends the running exchange with `error` and the connection with it."""
        if self._failure is None and not self.done:
            self._failure = error
        self.abort()
        self._wake()

    def abort(self) -> None:
        """Closes at once; the service sees that nobody listens."""
        self.closed = True
        self.reusable = False
        if self._transport is not None:
            self._transport.abort()

    def drop(self) -> None:
        """Closes for good. Nothing holds on to it then, so that it goes at once: what is left to
        the collector of cycles stays for minutes, with all its buffers."""
        self.abort()
        self._failure = self.watch = None

    # What the event loop calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is one by shape alone

    def data_received(self, data: bytes) -> None:
        if self.done:
            self.abort()
            return
        self.fresh = True
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            # After `done` this only closes: the answer itself was whole.
            self.fail(refusals.BadAnswer() if not self.answered else Cut())
            return
        if self._buffered > HIGH_WATER and not self._reading_paused and not self.done:
            assert self._transport is not None
            self._reading_paused = True
            self._transport.pause_reading()
        self._wake()

    def connection_lost(self, exc: Exception | None) -> None:
        self.closed = True
        self.reusable = False
        if self.done:
            self._on_idle_lost(self)
        elif self.answered and exc is None and not self._body_length_known:
            self.done = True  # an answer without a stated length ends with its connection
        elif self._failure is None:
            self._failure = Cut() if self.answered else refusals.BadAnswer()
        self._wake()
        del self._parser  # which holds on to us

    # What the parser calls

    def on_header(self, name: bytes, value: bytes) -> None:
        self._header_bytes += len(name) + len(value)
        if self._header_bytes > MAX_ANSWER_HEADERS:
            raise ValueError
        if not self.answered:  # later ones are trailers
            self.headers.append((name, value))

    def on_headers_complete(self) -> None:
        if self.done:  # another answer right behind this one: nobody asked for it
            raise ValueError
        status: int = self._parser.get_status_code()
        if status < 200:
            if status == 101:
                raise ValueError
            self.headers = []
            return
        self.status = status
        self.answered = True
        self._body_length_known = any(
            name.lower() in (b"content-length", b"transfer-encoding") for name, _ in self.headers
        )
        if self._bodiless:
            self.done = True

    def on_body(self, body: bytes) -> None:
        if not self.done:
            self._parts.append(body)
            self._buffered += len(body)

    def on_message_complete(self) -> None:
        if self.answered and not self.done:
            self.done = True
            self.reusable = self._parser.should_keep_alive()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    async def _more(self) -> None:
        self._waiter = self._loop.create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None
