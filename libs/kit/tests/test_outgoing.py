"""Services that call each other leave alone what keeps failing, and nothing else."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import pytest

from kit import outgoing
from kit.testing import Watch
from kit.testing.ports import free_port

WHOLE = b"HTTP/1.1 500 Oops\r\nconnection: close\r\ncontent-length: 2\r\n\r\nhi"


class Service:
    """Answers at once, or never while it `hangs`."""

    def __init__(self) -> None:
        self.asked = 0
        self.hangs = False
        self.port = 0
        self.open: set[asyncio.StreamWriter] = set()

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.open.add(writer)
        while await reader.readline() not in (b"\r\n", b""):
            pass
        self.asked += 1
        if not self.hangs:
            writer.write(WHOLE)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/"


@asynccontextmanager
async def served() -> AsyncIterator[Service]:
    service = Service()
    server = await asyncio.start_server(service.answer, "127.0.0.1", 0)
    service.port = server.sockets[0].getsockname()[1]
    try:
        yield service
    finally:
        server.close()
        for writer in service.open:
            writer.close()
            await writer.wait_closed()


async def fails(http: httpx.AsyncClient, url: str) -> type[Exception]:
    with pytest.raises(httpx.TransportError) as failed:
        await http.get(url, timeout=httpx.Timeout(5, read=0.05))
    return failed.type


async def test_a_service_that_hangs_is_left_alone_until_it_answers() -> None:
    watch = Watch()
    async with served() as service, outgoing.to_services(clock=watch) as http:
        service.hangs = True
        for _ in range(outgoing.FAILURES):
            assert await fails(http, service.url) is httpx.ReadTimeout
        assert await fails(http, service.url) is httpx.ConnectError
        assert service.asked <= outgoing.FAILURES, "nobody waits for it in vain"
        service.hangs = False
        watch.now += outgoing.PAUSE
        assert (await http.get(service.url)).status_code == 500, "an answer, if not a good one"
        assert (await http.get(service.url)).text == "hi"


async def test_one_service_that_is_away_takes_no_other_with_it() -> None:
    async with (
        served() as service,
        served() as hanging,
        outgoing.to_services(clock=Watch()) as http,
    ):
        hanging.hangs = True
        for _ in range(outgoing.FAILURES + 1):
            await fails(http, hanging.url)
        assert (await http.get(service.url)).status_code == 500


async def test_services_are_never_asked_through_a_proxy(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{free_port()}")
    async with served() as service, outgoing.to_services() as http:
        assert (await http.get(service.url)).status_code == 500
