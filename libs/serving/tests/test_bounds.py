"""What one instance takes at once, and what comes too slowly."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from kit.server import READ_WITHIN, Drain, Server, config
from kit.testing.ports import free_port
from serving import bounds
from serving.bounds import Bounds

LARGE = 12 * 1024 * 1024
"""Bytes, more than the buffers of a connection on the loopback hold."""

PART = 128 * 1024


class Work:
    """An application whose answers wait until they may go."""

    def __init__(self) -> None:
        self.go_on = asyncio.Event()
        self.running = 0
        routes = [
            Route("/slow", self.slow),
            Route("/whole", self.whole),
            Route("/large", self.large),
            Route("/stream", self.stream),
            Route("/costly", self.costly),
            Route("/health", self.quick),
            Route("/body", self.body, methods=["POST"]),
            WebSocketRoute("/socket", self.socket),
        ]
        self.app = Starlette(routes=routes, middleware=[Middleware(Bounds)])
        self.app.state.most_requests = 2
        self.app.state.most_streams = 2
        self.app.state.waits_for = None
        self.app.state.drain = Drain()

    async def quick(self, _: Request) -> Response:
        return PlainTextResponse("here")

    async def slow(self, _: Request) -> Response:
        self.running += 1
        await self.go_on.wait()
        return PlainTextResponse("done")

    async def whole(self, request: Request) -> Response:
        try:
            bounds.lasts()
        except bounds.Overloaded:
            return PlainTextResponse("full", 503)
        return await self.slow(request)

    async def large(self, _: Request) -> Response:
        return Response(b"x" * LARGE)

    async def costly(self, request: Request) -> Response:
        bounds.will_last()
        await self.slow(request)
        return await self.stream(request)

    async def stream(self, _: Request) -> Response:
        async def parts() -> AsyncIterator[str]:
            yield "data: 1\n\n"
            self.running += 1
            await self.go_on.wait()

        return StreamingResponse(parts(), media_type="text/event-stream")

    async def socket(self, socket: WebSocket) -> None:
        await socket.accept()
        await socket.receive()

    async def body(self, request: Request) -> Response:
        return PlainTextResponse(str(len(await request.body())))

    async def until(self, running: int) -> None:
        async with asyncio.timeout(5):
            while self.running < running:
                await asyncio.sleep(0.01)


@asynccontextmanager
async def served(
    work: Work, *, grace: float = 0.0, read_within: float = READ_WITHIN
) -> AsyncIterator[tuple[Server, str]]:
    port = free_port()
    asked: uvicorn.Config = config(work.app, drain=1, head_within=0.3, read_within=read_within)
    asked.timeout_keep_alive = 1
    asked.port = port
    server = Server(asked, grace=grace)
    task = asyncio.create_task(server._serve())
    async with asyncio.timeout(5):
        while not server.started:
            await asyncio.sleep(0.01)
    try:
        yield server, f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        await task


async def test_beyond_the_limit_requests_are_refused_at_once_and_probes_never() -> None:
    work = Work()
    async with served(work) as (_, url), httpx.AsyncClient(base_url=url) as http:
        held = [asyncio.create_task(http.get("/slow")) for _ in range(2)]
        await work.until(2)
        refused = await http.get("/slow")
        assert (refused.status_code, refused.json()["code"]) == (503, "service.overloaded")
        assert int(refused.headers["retry-after"]) >= 1
        assert (await http.get("/health")).text == "here"
        work.go_on.set()
        assert [answer.text for answer in await asyncio.gather(*held)] == ["done", "done"]
        assert (await http.get("/slow")).text == "done"


async def test_what_lasts_by_its_nature_is_counted_apart() -> None:
    work = Work()
    async with served(work) as (_, url), httpx.AsyncClient(base_url=url) as http:
        waiting = asyncio.create_task(http.get("/whole"))
        reading = asyncio.create_task(http.get("/stream"))
        await work.until(2)
        assert (await http.get("/whole")).text == "full"
        assert (await http.get("/stream")).json()["code"] == "service.overloaded"
        assert (await http.post("/body", content=b"abc")).text == "3"
        work.go_on.set()
        assert (await waiting).text == "done"
        assert (await reading).text == "data: 1\n\n"
        assert (await http.get("/whole")).text == "done"


async def test_what_will_last_has_its_place_before_it_has_done_anything() -> None:
    work = Work()
    work.app.state.most_streams = 1
    async with served(work) as (_, url), httpx.AsyncClient(base_url=url) as http:
        first = asyncio.create_task(http.get("/costly"))
        await work.until(1)
        refused = await http.get("/costly")
        assert (refused.status_code, refused.json()["code"]) == (503, "service.overloaded")
        assert work.running == 1
        work.go_on.set()
        assert (await first).text == "data: 1\n\n"
        assert (await http.get("/costly")).text == "data: 1\n\n"


async def test_while_it_waits_for_what_it_needs_a_service_says_so() -> None:
    work = Work()
    work.app.state.waits_for = "the database"
    async with served(work) as (_, url), httpx.AsyncClient(base_url=url) as http:
        refused = await http.get("/slow")
        assert (refused.status_code, refused.json()["code"]) == (503, "service.starting")
        assert (await http.get("/health")).status_code == 200


async def refusal(url: str) -> tuple[int, str]:
    """How a socket is refused: the status and the code of the problem."""
    with pytest.raises(InvalidStatus) as refused:
        async with connect(f"ws{url.removeprefix('http')}/socket", proxy=None):
            pass
    answer = refused.value.response
    assert int(answer.headers["retry-after"]) >= 1
    return answer.status_code, json.loads(answer.body or b"")["code"]


async def test_a_socket_that_comes_too_early_is_told_to_come_again() -> None:
    work = Work()
    work.app.state.waits_for = "the database"
    async with served(work) as (_, url):
        assert await refusal(url) == (503, "service.starting")


async def test_sockets_are_counted_among_what_lasts() -> None:
    work = Work()
    async with served(work) as (_, url):
        address = f"ws{url.removeprefix('http')}/socket"
        async with connect(address, proxy=None), connect(address, proxy=None):
            assert await refusal(url) == (503, "service.overloaded")
            async with httpx.AsyncClient(base_url=url) as http:
                assert (await http.post("/body", content=b"abc")).text == "3"
                assert (await http.get("/whole")).text == "full"
        async with connect(address, proxy=None) as socket:
            await socket.send("there is room again")


async def say(url: str, data: bytes) -> bytes:
    """All that comes back until the other side closes."""
    reader, writer = await asyncio.open_connection("127.0.0.1", int(url.rpartition(":")[2]))
    try:
        writer.write(data)
        async with asyncio.timeout(5):
            return await reader.read()
    except ConnectionResetError:
        return b""
    finally:
        writer.close()


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"", b""),
        (b"GET /health HTTP/1.1\r\nHost: x\r\n", b"HTTP/1.1 408 "),
        (b"GET /health HTTP/1.1\r\nHost: x\r\n\r\nGET / HTTP/1.1\r\n", b"HTTP/1.1 200 "),
        (b"GET /health HTTP/1.1\r\nX: " + b"x" * 150_000, b"HTTP/1.1 431 "),
    ],
    ids=["nothing", "half", "half of the second", "endless"],
)
async def test_a_head_that_does_not_come_is_cut_off(sent: bytes, status: bytes) -> None:
    async with served(Work()) as (_, url):
        answer = await say(url, sent)
        assert answer.startswith(status)
        assert (answer == b"") is (status == b"")


@pytest.mark.parametrize(
    ("sent", "more"),
    [
        (b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n", b"\r\n"),
        (b"POST /health HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n", b"x"),
    ],
    ids=["an empty line", "a body that was refused"],
)
async def test_who_says_no_more_than_a_few_bytes_after_an_answer_is_cut_off(
    sent: bytes, more: bytes
) -> None:
    async with served(Work()) as (_, url):
        reader, writer = await asyncio.open_connection("127.0.0.1", int(url.rpartition(":")[2]))
        writer.write(sent)
        await reader.readuntil(b"\r\n\r\n")
        writer.write(more)
        async with asyncio.timeout(10):
            await reader.read()
        writer.close()


async def test_a_client_that_reads_slowly_has_all_of_it() -> None:
    async with served(Work(), read_within=0.5) as (_, url):
        reader, writer = await asyncio.open_connection(
            "127.0.0.1", int(url.rpartition(":")[2]), limit=PART
        )
        writer.write(b"GET /large HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        await reader.readuntil(b"\r\n\r\n")
        came = 0
        while part := await reader.read(PART):
            came += len(part)
            await asyncio.sleep(0.02)
        assert came == LARGE
        writer.close()


async def test_a_slow_answer_is_no_slow_head() -> None:
    work = Work()
    async with served(work) as (_, url), httpx.AsyncClient(base_url=url) as http:
        asking = asyncio.create_task(http.get("/slow"))
        await work.until(1)
        await asyncio.sleep(0.5)
        work.go_on.set()
        assert (await asking).text == "done"


async def test_a_service_that_leaves_says_so_first_and_lets_what_runs_end() -> None:
    work = Work()
    async with served(work, grace=0.4) as (server, url), httpx.AsyncClient(base_url=url) as http:
        asking = asyncio.create_task(http.get("/slow"))
        await work.until(1)
        server.should_exit = True
        async with asyncio.timeout(5):
            while not work.app.state.drain.announced:
                await asyncio.sleep(0.01)
        assert (await http.get("/health")).text == "here", "for a while it goes on"
        assert not work.app.state.drain.closing.is_set()
        async with asyncio.timeout(5):
            await work.app.state.drain.closing.wait()
            await asyncio.sleep(0.05)
        with pytest.raises(httpx.ConnectError):
            async with httpx.AsyncClient(base_url=url) as late:
                await late.get("/health")
        work.go_on.set()
        assert (await asking).text == "done"
