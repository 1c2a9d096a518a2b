"""A client's request as it goes to a service: its head, and its body, which is read first."""

import asyncio
from dataclasses import dataclass

from starlette.types import Receive

from api_gateway import refusals
from api_gateway.connection import ClientLeft, Connection
from api_gateway.pool import Pool
from api_gateway.room import Place

SHORT = 64 * 1024
"""Bytes of a body that may be read in any case; only so many longer ones are held at once."""


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


class Body:
    """The client's body, and the ear for the client's leaving.

    It is read whole before the service is asked, so that whoever sends slowly takes no place there
    and the service is never blamed for it.
    """

    def __init__(self, request: Request, receive: Receive, pool: Pool) -> None:
        self._receive = receive
        self._limit = request.max_body
        self._pool = pool
        self._place: Place | None = None
        self._more = request.length != 0
        self._content = bytearray()
        self._task: asyncio.Task[None] | None = None

    async def read(self) -> None:
        """Reads all of it.

        Raises:
            ClientLeft, BodyTooLarge, BodyTooSlow, Overloaded
        """
        if not self._more:
            return
        try:
            async with asyncio.timeout(self._pool.limits.whole):
                while self._more:
                    async with asyncio.timeout(self._pool.limits.idle):
                        self._content += await self._next()
                    if len(self._content) > self._limit:
                        raise refusals.BodyTooLarge
                    if len(self._content) > SHORT and self._place is None:
                        await self._pool.bodies.enter()
                        self._place = Place(self._pool.bodies)
        except TimeoutError:
            raise refusals.BodyTooSlow from None

    async def _next(self) -> bytes:
        message = await self._receive()
        if message["type"] == "http.disconnect":
            raise ClientLeft
        self._more = message.get("more_body", False)
        part: bytes = message.get("body", b"")
        return part

    def taken(self) -> bytearray:
        """The content, which is not held any longer."""
        content, self._content = self._content, bytearray()
        self._leave()
        return content

    def listen(self, connection: Connection) -> None:
        """From now on the exchange fails when the client leaves."""
        if self._task is None:
            self._task = asyncio.create_task(self._listen(connection))

    async def _listen(self, connection: Connection) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            continue
        connection.fail(ClientLeft())

    def close(self) -> None:
        """Listens no longer, holds nothing."""
        self._leave()
        if self._task is not None:
            self._task.cancel()
            self._task = None

    def _leave(self) -> None:
        if self._place is not None:
            self._place.leave()
            self._place = None


def opening_of(request: Request, content: bytearray) -> bytes:
    """All that is sent: the request line, every header line and the body."""
    lines = [b"%b %b HTTP/1.1\r\n" % (request.method.encode(), request.target), *request.lines]
    if request.length != 0 or request.method in ("POST", "PUT", "PATCH"):
        lines.append(b"content-length: %d\r\n" % len(content))
    return b"".join((*lines, b"\r\n", content))
