"""Every service is told to stop at once, in the middle of things: what runs ends as it should."""

import asyncio
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import httpx
import pytest
import separate
from httpx_sse import ServerSentEvent, aconnect_sse
from model_server import ModelServer, Pause, Say, Step
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from kit.testing import Addresses, serve
from kit.testing.ports import free_port

pytestmark = pytest.mark.journey

SCRIPT: list[Step] = [step for n in range(50) for step in (Say(f"word{n} "), Pause(0.1))]
ENDLESS: list[Step] = [step for n in range(900) for step in (Say(f"word{n} "), Pause(0.1))]
WHOLE = "".join(step.text for step in SCRIPT if isinstance(step, Say))
QUESTION = {"content": "What helps with a headache?"}
GRACE, DRAIN = 2, 7


@pytest.fixture(scope="module")
def data_dir() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as folder:
        yield Path(folder)


@pytest.fixture
def model_port() -> int:
    return free_port()


@pytest.fixture
async def model(model_port: int) -> AsyncIterator[ModelServer]:
    """Says the script, slowly, to everybody."""
    server = ModelServer([SCRIPT])
    async with serve(server.app(), port=model_port):
        yield server


@pytest.fixture
async def parts(
    addresses: Addresses, data_dir: Path, model: ModelServer, model_port: int
) -> AsyncIterator[separate.Parts]:
    """The three services that a reply needs and the one of sockets, as processes."""
    made = separate.Parts(addresses, data_dir)
    made.more = {
        "OPENAI_API_KEY": "sk-test",
        "OPENAI_BASE_URL": f"http://127.0.0.1:{model_port}/v1",
        "DRAIN_SECONDS": str(DRAIN),
        "DRAIN_GRACE_SECONDS": str(GRACE),
    }
    async with separate.listening(made.socket_dir, made.database):
        for name in separate.NAMES:
            made.run(name)
        try:
            await made.all_ready(*separate.NAMES, within=90)
            yield made
        finally:
            made.kill()


class Reader:
    """Somebody who reads one stream of events to its end."""

    def __init__(self, http: httpx.AsyncClient, method: str, path: str) -> None:
        self.events: list[ServerSentEvent] = []
        self.open = asyncio.Event()
        self.clean = False
        self._what = (http, method, path)
        self.task = asyncio.create_task(self._read())

    async def _read(self) -> None:
        http, method, path = self._what
        more = {"json": QUESTION} if method == "POST" else {}
        async with aconnect_sse(http, method, path, **more) as source:
            source.response.raise_for_status()
            self.open.set()
            async for event in source.aiter_sse():
                self.events.append(event)
        self.clean = True

    @property
    def said(self) -> str:
        return "".join(e.json()["text"] for e in self.events if e.event == "delta")

    async def has_said(self, characters: int) -> None:
        async with asyncio.timeout(20):
            while len(self.said) < characters:
                await asyncio.sleep(0.05)


async def closing_code(url: str, token: str, opened: asyncio.Event) -> int | None:
    headers = {"authorization": token}
    async with connect(url, additional_headers=headers, proxy=None) as socket:
        opened.set()
        try:
            while True:
                await socket.recv()
        except ConnectionClosed:
            return socket.close_code


async def test_replies_end_readers_go_cleanly_and_every_process_ends_with_0(
    parts: separate.Parts,
) -> None:
    async with parts.visitor() as http:
        path = f"/api/v1/conversations/{await _conversation(http)}"
        feed = Reader(http, "GET", "/api/v1/events")
        reply = Reader(http, "POST", f"{path}/messages")
        other = f"/api/v1/conversations/{await _conversation(http)}"
        whole = asyncio.create_task(http.post(f"{other}/messages", json=QUESTION))
        made = await http.post("/api/v1/voice/session", json={})
        assert made.status_code == 201, made.text
        opened = asyncio.Event()
        url = f"ws{parts.url('gateway')[4:]}/ws/transcript/{made.json()['session_id']}"
        socket = asyncio.create_task(closing_code(url, http.headers["authorization"], opened))
        async with asyncio.timeout(20):
            await asyncio.gather(feed.open.wait(), opened.wait())
        await reply.has_said(20)
        told = time.monotonic()
        parts.told_to_stop(*separate.NAMES)
        await _is_announced(parts)
        answer = await http.get("/api/v1/conversations")
        assert answer.status_code == 200, "it goes on for a while"
        assert time.monotonic() - told < GRACE, "the machine is too busy to see that"
        await asyncio.wait_for(feed.task, GRACE + 3)
        assert feed.clean
        await asyncio.wait_for(reply.task, GRACE + DRAIN + 3)
        assert (reply.events[-1].event, reply.said) == ("done", WHOLE)
        answer = await whole
        assert answer.json()["assistant_message"]["content"] == WHOLE
        assert await asyncio.wait_for(socket, 5) == 1012
    assert [await parts.exit_code(name) for name in separate.NAMES] == [0, 0, 0, 0]
    with pytest.raises(httpx.ConnectError):
        await parts.ready("gateway")


@pytest.mark.long
async def test_a_reply_that_takes_too_long_ends_with_a_named_error(
    parts: separate.Parts, model: ModelServer
) -> None:
    model.scripts = [ENDLESS]
    async with parts.visitor() as http:
        path = f"/api/v1/conversations/{await _conversation(http)}"
        reply = Reader(http, "POST", f"{path}/messages")
        await reply.has_said(20)
        parts.told_to_stop(*separate.NAMES)
        await asyncio.wait_for(reply.task, GRACE + DRAIN + 5)
        last = reply.events[-1]
        assert last.event == "error"
        assert last.json()["code"] in {"conversation.reply_failed", "gateway.restarting"}
    assert [await parts.exit_code(name) for name in separate.NAMES] == [0, 0, 0, 0]


@pytest.mark.long
async def test_when_the_gateway_alone_leaves_a_stream_says_so_and_can_be_resumed(
    parts: separate.Parts, model: ModelServer
) -> None:
    model.scripts = [ENDLESS[:440]]
    async with parts.visitor() as http:
        path = f"/api/v1/conversations/{await _conversation(http)}"
        reply = Reader(http, "POST", f"{path}/messages")
        await reply.has_said(20)
        parts.told_to_stop("gateway")
        await asyncio.wait_for(reply.task, GRACE + DRAIN + 5)
        assert reply.events[-1].event == "error"
        assert reply.events[-1].json()["code"] == "gateway.restarting"
        assert await parts.exit_code("gateway") == 0
        parts.run("gateway")
        await parts.all_ready("gateway", within=60)
        ids = reply.events[0].json()
        stream = f"{path}/messages/{ids['assistant_message_id']}/stream?after={len(reply.said)}"
        rest = Reader(http, "GET", stream)
        await asyncio.wait_for(rest.task, 40)
        assert rest.events[-1].event == "done"
        assert rest.events[-1].json()["message"]["content"] == reply.said + rest.said


async def _conversation(http: httpx.AsyncClient) -> str:
    made = await http.post("/api/v1/conversations", json={})
    assert made.status_code == 201, made.text
    return str(made.json()["id"])


async def _is_announced(parts: separate.Parts) -> None:
    async with asyncio.timeout(GRACE):
        for name in separate.NAMES:
            while (answer := await parts.ready(name)).status_code == 200:
                await asyncio.sleep(0.02)
            assert answer.json()["status"] == "draining"
