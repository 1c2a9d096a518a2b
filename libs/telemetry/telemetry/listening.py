"""`GET /metrics` on a port of its own, for a private network: nothing else is there."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from telemetry.service import CONTENT_TYPE, Telemetry

WITHIN = 5.0
"""Seconds that a question and its answer may take."""

_REFUSED = b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
_TOLD = b"HTTP/1.1 200 OK\r\ncontent-type: %b\r\ncontent-length: %d\r\nconnection: close\r\n\r\n"


@asynccontextmanager
async def listening(telemetry: Telemetry, port: int | None) -> AsyncIterator[None]:
    """Tells everybody who reaches `port` of this machine what was counted; None: nobody.

    Raises:
        OSError: it cannot be listened on.
    """
    if port is None:
        yield
        return

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(
            TimeoutError, ConnectionError, asyncio.IncompleteReadError, asyncio.LimitOverrunError
        ):
            async with asyncio.timeout(WITHIN):
                writer.write(await _answer(telemetry, await reader.readuntil(b"\r\n\r\n")))
                await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, None, port)
    try:
        yield
    finally:
        server.close()


async def _answer(telemetry: Telemetry, head: bytes) -> bytes:
    method, _, rest = head.partition(b" ")
    path = rest.partition(b" ")[0].partition(b"?")[0]
    if (method, path) != (b"GET", b"/metrics"):
        return _REFUSED
    page = await telemetry.page()
    return _TOLD % (CONTENT_TYPE.encode(), len(page)) + page
