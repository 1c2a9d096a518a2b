"""A TCP proxy on the loopback that a test makes slow, silent or dead, in front of a real server."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from urllib.parse import parse_qsl, urlencode, urlsplit

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]
PART = 65_536


@dataclass
class Proxy:
    """`delay` is how many seconds late each part of an answer comes; nothing is lost or turned.

    While there is an `answer`, whoever says anything is given that and hung up on.
    """

    connect: Callable[[], Awaitable[Streams]]
    port: int = 0
    delay: float = 0.0
    answer: bytes = b""
    _passing: asyncio.Event = field(default_factory=asyncio.Event)
    _open: dict[asyncio.Task[None], asyncio.StreamWriter] = field(default_factory=dict)
    _server: asyncio.Server | None = None

    async def start(self) -> None:
        """Listens, on the same port as before where there was one."""
        self._passing.set()
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def die(self) -> None:
        """Refuses whoever comes and cuts everybody who is there."""
        assert self._server is not None
        self._server.close()
        for task, writer in list(self._open.items()):
            writer.transport.abort()
            task.cancel()
        await asyncio.gather(*self._open, return_exceptions=True)
        await self._server.wait_closed()

    def hang(self) -> None:
        """Takes connections, and answers nothing any more."""
        self._passing.clear()

    def go_on(self) -> None:
        """Ends the silence; what was held back goes out."""
        self._passing.set()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._open[task] = writer
        try:
            await self._carry(reader, writer)
        except (OSError, asyncio.CancelledError):
            pass  # either side has left, or the proxy is dead
        finally:
            del self._open[task]
            writer.close()

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        from_server, to_server = await self.connect()
        late: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue()
        ways = [
            asyncio.create_task(self._ask(reader, to_server, writer)),
            asyncio.create_task(self._hear(from_server, late)),
            asyncio.create_task(self._tell(late, writer)),
        ]
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            to_server.close()
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)

    async def _ask(
        self,
        reader: asyncio.StreamReader,
        server: asyncio.StreamWriter,
        client: asyncio.StreamWriter,
    ) -> None:
        while part := await reader.read(PART):
            if self.answer:
                client.write(self.answer)
                return
            await self._passing.wait()
            server.write(part)
            await server.drain()

    async def _hear(
        self, server: asyncio.StreamReader, late: asyncio.Queue[tuple[float, bytes]]
    ) -> None:
        """An answer is late by the delay; two that follow each other are not twice as late."""
        loop = asyncio.get_running_loop()
        while part := await server.read(PART):
            late.put_nowait((loop.time() + self.delay, part))
        await late.join()

    async def _tell(
        self, late: asyncio.Queue[tuple[float, bytes]], writer: asyncio.StreamWriter
    ) -> None:
        loop = asyncio.get_running_loop()
        while True:
            due, part = await late.get()
            await asyncio.sleep(max(0.0, due - loop.time()))
            await self._passing.wait()
            writer.write(part)
            await writer.drain()
            late.task_done()


@asynccontextmanager
async def proxied(connect: Callable[[], Awaitable[Streams]]) -> AsyncIterator[Proxy]:
    """A proxy to whatever `connect` opens, for as long as the block lasts."""
    proxy = Proxy(connect)
    await proxy.start()
    try:
        yield proxy
    finally:
        with contextlib.suppress(OSError):
            await proxy.die()


@asynccontextmanager
async def database_behind(address: str) -> AsyncIterator[tuple[Proxy, str]]:
    """A proxy to a PostgreSQL that listens on a socket of its folder or on a port, and the address
    by way of it."""
    parts = urlsplit(address)
    asked = dict(parse_qsl(parts.query))
    folder = asked.pop("host", "")

    async def connect() -> Streams:
        if folder.startswith("/"):
            return await asyncio.open_unix_connection(f"{folder}/.s.PGSQL.5432")
        return await asyncio.open_connection(parts.hostname, parts.port)

    async with proxied(connect) as proxy:
        login = parts.netloc.rpartition("@")[0]
        here = parts._replace(netloc=f"{login}@127.0.0.1:{proxy.port}", query=urlencode(asked))
        yield proxy, here.geturl()
