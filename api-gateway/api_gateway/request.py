"""A client's request as it goes to a service: its head, and its body part by part."""

import asyncio
from dataclasses import dataclass

from starlette.types import Receive

from api_gateway import refusals
from api_gateway.connection import ClientLeft, Connection
from api_gateway.pool import Limits

GATHERED = 64 * 1024
"""Bytes of a body that is read whole before the service is asked, so that nobody takes up a place
by sending slowly; what is longer, or states no length, passes as it comes."""


@dataclass(slots=True)
class Request:
    """What goes to a service: `lines` are whole header lines but for those of the framing.

    `length` is the stated size of the body in bytes, None when it comes in chunks. The answer may
    be a `stream`, one without an end (`endless`), or a reply that is waited for (`patient`).
    """

    method: str
    target: bytes
    lines: list[bytes]
    length: int | None
    max_body: int
    stream: bool = False
    endless: bool = False
    patient: bool = False

    @property
    def has_body(self) -> bool:
        return self.length != 0


class Body:
    """The client's body on its way up, and the ear for the client's leaving."""

    def __init__(self, request: Request, receive: Receive, limits: Limits) -> None:
        self._receive = receive
        self._limit = request.max_body
        self._small = request.length is not None and request.length <= GATHERED
        self._within = limits.idle
        self._whole = limits.whole
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

    async def begun(self) -> bytes:
        """What there is to send at first: a small body whole, of others the first part.

        Raises:
            ClientLeft, BodyTooLarge, BodyTooSlow
        """
        if not self.more:
            return b""
        first = await self.next()
        if not (self.more and self._small):
            return first
        parts = [first]
        try:
            async with asyncio.timeout(self._whole):
                while self.more:
                    parts.append(await self.next())
        except TimeoutError:
            raise refusals.BodyTooSlow from None
        return b"".join(parts)

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


def head_of(request: Request, body: Body, first: bytes) -> bytes:
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
