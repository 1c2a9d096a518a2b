"""Carries one HTTP request to a service and its answer back, both as they come."""

import asyncio
from dataclasses import dataclass
from functools import partial

from starlette.types import Receive, Send

from api_gateway import headers, refusals
from api_gateway.connection import ClientLeft, Connection, Cut
from api_gateway.pool import Pool
from kit import logs

_log = logs.get(__name__)

_REPEATABLE = frozenset({"GET", "HEAD", "OPTIONS"})


@dataclass(slots=True)
class Request:
    """What goes to a service: `lines` are whole header lines but for those of the framing.

    `length` is the stated size of the body in bytes, None when it comes in chunks.
    """

    method: str
    target: bytes
    lines: list[bytes]
    length: int | None
    max_body: int

    @property
    def has_body(self) -> bool:
        return self.length != 0


class _Body:
    """The client's body on its way up, and the ear for the client's leaving."""

    def __init__(self, request: Request, receive: Receive, within: float) -> None:
        self._receive = receive
        self._limit = request.max_body
        self._within = within
        self._received = 0
        self.more = request.has_body
        self.chunked = False
        self._task: asyncio.Task[None] | None = None

    async def next(self) -> bytes:
        """The next part; clears `more` at the end.

        Raises:
            ClientLeft, BodyTooLarge, BodyTooSlow
        """
        try:
            async with asyncio.timeout(self._within if self.more else None):
                message = await self._receive()
        except TimeoutError:
            raise refusals.BodyTooSlow from None
        if message["type"] == "http.disconnect":
            raise ClientLeft
        part: bytes = message.get("body", b"")
        self._received += len(part)
        self.more = self.more and message.get("more_body", False)
        if self._received > self._limit:
            raise refusals.BodyTooLarge
        return part

    def pump_into(self, connection: Connection) -> None:
        """From now on sends what comes, then fails the exchange when the client leaves."""
        if self._task is None:
            self._task = asyncio.create_task(self._pump(connection))

    async def _pump(self, connection: Connection) -> None:
        try:
            while self.more:
                part = await self.next()
                connection.fresh = True
                connection.write(self.framed(part))
                await connection.drained()
            while True:
                await self.next()
        except Exception as ended:  # whoever waits for the answer learns of it
            connection.fail(ended)

    def framed(self, part: bytes) -> bytes:
        """A part as it goes on the wire."""
        if not self.chunked:
            return part
        chunk = b"%x\r\n%b\r\n" % (len(part), part) if part else b""
        return chunk if self.more else chunk + b"0\r\n\r\n"

    def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            self._task = None


async def relay(
    request: Request, pool: Pool, own: headers.Pairs, receive: Receive, send: Send
) -> None:
    """Answers with what the service at `pool` answers, and the headers `own`.

    A service that breaks off in the middle leaves the client's answer visibly unfinished.

    Raises:
        Refusal: nothing has been sent yet.
    """
    body = _Body(request, receive, pool.limits.idle)
    connection: Connection | None = None
    started = False
    try:
        first = await body.next() if request.has_body else b""
        connection = await _ask(request, body, first, pool)
        started = True
        await _answer(connection, own, send)
    except (ClientLeft, Cut, refusals.Refusal) as ended:
        if not started and isinstance(ended, refusals.Refusal):
            raise
        if not isinstance(ended, ClientLeft):
            _log.warning("answer.cut", service=pool.name, reason=type(ended).__name__)
    except Exception as bug:
        if not started:
            raise
        _log.error("answer.failed", service=pool.name, **logs.failure(bug))
    finally:
        body.stop()
        if connection is not None:
            pool.release(connection, reusable=not body.more)


async def _ask(request: Request, body: _Body, first: bytes, pool: Pool) -> Connection:
    """Sends the request, waits for the head of the answer. The caller releases the connection."""
    head = _head(request, body, first)
    while True:
        connection = pool.waiting()
        kept = connection is not None
        if connection is None:
            connection = await pool.fresh()
        try:
            watch = partial(body.pump_into, connection)
            connection.begin(bodiless=request.method == "HEAD", watch=watch)
            connection.write(head + body.framed(first) if request.has_body else head)
            if body.more:
                body.pump_into(connection)
            await connection.head()
        except refusals.BadAnswer:
            pool.release(connection, reusable=False)
            # It may have closed just as we wrote; what changes nothing is asked once more.
            if not (kept and not body.more and request.method in _REPEATABLE):
                raise
            body.stop()
        except BaseException:
            pool.release(connection, reusable=False)
            raise
        else:
            return connection


def _head(request: Request, body: _Body, first: bytes) -> bytes:
    """The request line and every header line."""
    lines = [b"%b %b HTTP/1.1\r\n" % (request.method.encode(), request.target), *request.lines]
    if request.length is None and body.more:
        body.chunked = True
        lines.append(b"transfer-encoding: chunked\r\n")
    elif request.has_body or request.method in ("POST", "PUT", "PATCH"):
        length = request.length if request.length is not None else len(first)
        lines.append(b"content-length: %d\r\n" % length)
    lines.append(b"\r\n")
    return b"".join(lines)


async def _answer(connection: Connection, own: headers.Pairs, send: Send) -> None:
    pairs, connection.streaming = headers.downstream(connection.headers, connection.status)
    pairs += own
    await send({"type": "http.response.start", "status": connection.status, "headers": pairs})
    if connection.done:  # whole already: the common case, in one message
        await send({"type": "http.response.body", "body": connection.taken()})
        return
    more = True
    while more:
        part = await connection.chunk()
        more = not connection.done
        await send({"type": "http.response.body", "body": part, "more_body": more})
