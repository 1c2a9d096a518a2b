"""A service as the gateway's tests need it: every byte of what came, every byte of what it says."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import httpx

from kit.testing.serving import Served


@dataclass(slots=True)
class Asked:
    """One request as it came over the wire, up to its body, and the streams to go on with."""

    head: bytes
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    @property
    def line(self) -> str:
        return self.head.split(b"\r\n", 1)[0].decode()

    @property
    def headers(self) -> dict[str, str]:
        lines = self.head.decode("latin-1").split("\r\n")[1:]
        pairs = (line.split(": ", 1) for line in lines if line)
        return {name.lower(): value for name, value in pairs}

    async def body(self) -> bytes:
        """The body of a stated length, or all the bytes of a chunked one."""
        if (length := self.headers.get("content-length")) is not None:
            return await self.reader.readexactly(int(length))
        if "transfer-encoding" in self.headers:
            return await self.reader.readuntil(b"0\r\n\r\n")
        return b""

    async def say(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def left(self) -> None:
        """Waits until the other side hangs up."""
        with contextlib.suppress(ConnectionError):
            while await self.reader.read(65536):
                pass


Answer = Callable[[Asked], Awaitable[None]]


async def hello(asked: Asked) -> None:
    """Answers anything with a small JSON document."""
    await asked.body()
    await asked.say(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n")
    await asked.say(b'content-length: 13\r\n\r\n{"hello": 42}')


@dataclass(slots=True)
class WireService:
    """Listens on `port`; answers each request as `answer` does at that time."""

    port: int = 0
    answer: Answer = hello
    asked: list[Asked] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                asked = Asked(await reader.readuntil(b"\r\n\r\n"), reader, writer)
                self.asked.append(asked)
                await self.answer(asked)
        except (asyncio.IncompleteReadError, ConnectionError):
            return  # the other side hung up
        finally:
            writer.close()


@asynccontextmanager
async def wire_service() -> AsyncIterator[WireService]:
    """A service of bytes on a free port."""
    service = WireService()
    server = await asyncio.start_server(service.serve, "127.0.0.1", 0)
    service.port = server.sockets[0].getsockname()[1]
    try:
        yield service
    finally:
        server.close()
        for asked in service.asked:
            asked.writer.close()


async def exchange(port: int, request: bytes, *, seconds: float = 5.0) -> bytes:
    """Sends raw bytes; all that comes back until the other side closes."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(request)
        await writer.drain()
        async with asyncio.timeout(seconds):
            return await reader.read()
    finally:
        writer.close()


@dataclass
class Door:
    """The gateway, the service behind it, and a client with a token."""

    served: Served
    service: WireService
    client: httpx.AsyncClient
    token: str

    @property
    def port(self) -> int:
        return self.served.port

    @property
    def authorization(self) -> bytes:
        return f"Authorization: Bearer {self.token}\r\n".encode()


OpenDoor = Callable[..., Awaitable[Door]]
"""Opens a gateway with the settings given by name."""
