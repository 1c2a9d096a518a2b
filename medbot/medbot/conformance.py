"""Whether a server's voice sockets keep to `docs/voice-protocol.md`; any server, by its address.

Each check is one call and raises `AssertionError` with what was wrong.
"""

import asyncio
import contextlib
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

import httpx
from rich.console import Console
from websockets.exceptions import WebSocketException

from medbot import received, sounds, talk
from medbot.calling import Caller, HungUp, calling, pcm_of
from voice_service.sockets import messages

START = {"type": "control", "action": "start"}
STOP = {"type": "control", "action": "stop"}


@dataclass(frozen=True, slots=True)
class Server:
    """What is looked at: its address over http or ws, a token or None, and a spoken question."""

    url: str
    token: str | None
    speech: bytes

    @property
    def http(self) -> str:
        """Its address for plain requests."""
        return f"http{self.url.removeprefix('ws')}" if self.url.startswith("ws") else self.url

    @property
    def headers(self) -> dict[str, str]:
        """What says who calls."""
        return {"authorization": f"Bearer {self.token}"} if self.token else {}

    def call(self, conversation: str | None = None) -> AbstractAsyncContextManager[Caller]:
        """A call over `/ws/voice`."""
        address = talk.socket_url(self.url, conversation)
        return calling(address, additional_headers=self.headers)

    @asynccontextmanager
    async def session(self) -> AsyncIterator[str]:
        """The address of a new session's socket; the session is ended after the block."""
        async with httpx.AsyncClient(
            base_url=self.http, headers=self.headers, trust_env=False, timeout=30
        ) as http:
            made = await http.post("/api/v1/voice/session", json={})
            assert made.status_code == 201, f"POST /api/v1/voice/session: {made.status_code}"
            try:
                yield made.json()["websocket_url"]
            finally:
                await http.delete(f"/api/v1/voice/session/{made.json()['session_id']}")


Check = Callable[[Server], Awaitable[None]]


async def opens_with_ready(server: Server) -> None:
    """The first message is `ready`, with the conversation's id."""
    async with server.call() as caller:
        ready = await caller.wait_for("ready", within=received.STARTED_WITHIN)
        assert caller.names()[0] == "ready", f"first came {caller.names()[0]}"
        assert uuid.UUID(ready["conversation_id"])


async def answers_speech(server: Server) -> None:
    """Speech is answered: its words, the reply's sentences, one MP3 in numbered chunks, paced."""
    async with server.call() as caller:
        before = await received.greeted(caller)
        await caller.say(server.speech)
        async with caller.listening():
            await caller.wait_for("user_transcript", after=before, within=received.ANSWERED_WITHIN)
            await caller.wait_for("audio_complete", after=before, within=60)
    assert any(said["text"].strip() for said in caller.all("user_transcript")), "no words heard"
    assert any(said["text"].strip() for said in caller.all("assistant_transcript")), "no reply"
    received.check_messages(caller, messages.VOICE_SERVER)
    for reply in received.replies(caller):
        received.check_reply(reply)
    times = [message["timestamp"] for _, message in caller.got if "timestamp" in message]
    assert all(abs(one - time.time()) < 3600 for one in times), "timestamps are not since 1970"


async def goes_on_with_a_conversation(server: Server) -> None:
    """`?conversation_id=` goes on with a conversation, and it is not greeted again."""
    if server.token is None:
        return
    async with server.call() as first:
        ready = await first.wait_for("ready", within=received.STARTED_WITHIN)
        await received.greeted(first)
    async with server.call(ready["conversation_id"]) as second:
        again = await second.wait_for("ready", within=received.STARTED_WITHIN)
        assert again["conversation_id"] == ready["conversation_id"]
        await second.quiet(2)
        assert not second.all("assistant_transcript"), "it greeted twice"


async def stops_when_spoken_over(server: Server) -> None:
    """Speech over a reply brings `interrupted`; nothing more of it comes."""
    async with server.call() as caller:
        before = await received.greeted(caller)
        await caller.say(server.speech)
        async with caller.listening():
            await caller.wait_for("audio", after=before, within=received.ANSWERED_WITHIN)
            await asyncio.sleep(1)
        await caller.say(server.speech)
        async with caller.listening():
            await caller.wait_for("interrupted", after=before, within=received.ANSWERED_WITHIN)
            await asyncio.sleep(0.5)
    names = [message["event"] for _, message in caller.got[before:]]
    cut = names.index("interrupted")
    assert "audio_complete" not in names[:cut], "the reply was complete and yet interrupted"
    after = [
        message for _, message in caller.got[before + cut + 1 :] if message["event"] == "audio"
    ]
    assert not after or after[0]["chunk_num"] == 0, "more of the reply came after `interrupted`"


async def names_what_is_wrong(server: Server) -> None:
    """What is not in the protocol brings an `error` and leaves the call open."""
    async with server.call() as caller:
        await caller.wait_for("ready", within=received.STARTED_WITHIN)
        wrong = ("nonsense", "{}", '{"event": "audio"}', '{"event": "audio", "audio": "%"}')
        for data in wrong:
            await caller.socket.send(data)
        await received.until(caller, lambda: len(caller.all("error")) >= len(wrong))
        assert all(isinstance(one["message"], str) for one in caller.all("error"))
        assert caller.code is None, f"closed with {caller.code}"


async def refuses_what_is_too_big(server: Server) -> None:
    """A message over 256 KiB closes with 1009."""
    async with server.call() as caller:
        await caller.wait_for("ready", within=received.STARTED_WITHIN)
        with contextlib.suppress(WebSocketException):
            await caller.send({"event": "audio", "audio": "A" * (messages.MAX_MESSAGE + 4)})
        assert await caller.closed() == 1009, f"closed with {caller.code}"


async def refuses_a_bad_token(server: Server) -> None:
    """A token that does not hold closes with 4401, wherever it stands."""
    address = talk.socket_url(server.url)
    for url, options in (
        (f"{address}?token=nobody", {}),
        (address, {"additional_headers": {"authorization": "Bearer nobody"}}),
        (address, {"subprotocols": ["bearer", "nobody"]}),
    ):
        async with calling(url, **options) as caller:
            assert await caller.closed() == 4401, f"closed with {caller.code}"


async def refuses_a_conversation_of_others(server: Server) -> None:
    """A conversation that is not the caller's closes with 4404."""
    async with server.call(str(uuid.uuid4())) as caller:
        assert await caller.closed(within=received.STARTED_WITHIN) == 4404, (
            f"closed with {caller.code}"
        )


async def runs_a_session(server: Server) -> None:
    """A session starts, answers a typed message aloud, and ends with `stop`."""
    if server.token is None:
        return
    async with (
        server.session() as address,
        calling(address, session=True, additional_headers=server.headers) as caller,
    ):
        await caller.wait_for("status")
        assert caller.names()[0] == "status", f"first came {caller.names()[0]}"
        await caller.send(START)
        await received.until(
            caller, lambda: any(one["status"] == "active" for one in caller.all("status"))
        )
        await caller.send({"type": "text", "text": "What helps against a cold?"})
        await received.until(caller, lambda: received.has_final(caller, "assistant"), within=60)
        await caller.send(STOP)
        assert await caller.closed() == 1000, f"closed with {caller.code}"
    assert len(pcm_of(caller.all("audio"))) % 2 == 0, "half a sample"
    assert pcm_of(caller.all("audio")), "no sound"
    assert caller.all("status")[-1]["status"] == "ended"
    received.check_messages(caller, messages.SESSION_SERVER)
    async with calling(address, session=True, additional_headers=server.headers) as late:
        assert await late.closed() == 4410, f"closed with {late.code}"


async def gives_a_session_to_the_newer_socket(server: Server) -> None:
    """A second socket takes the session over; the first is closed with 4409."""
    if server.token is None:
        return
    options: dict[str, Any] = {"session": True, "additional_headers": server.headers}
    async with server.session() as address, calling(address, **options) as older:
        await older.send(START)
        await older.wait_for("status")
        async with calling(address, **options) as newer:
            await newer.wait_for("status")
            assert await older.closed() == 4409, f"closed with {older.code}"
            assert newer.code is None


async def names_what_is_wrong_in_a_session(server: Server) -> None:
    """What is not in the session's protocol brings an `error` with a code."""
    if server.token is None:
        return
    async with (
        server.session() as address,
        calling(address, session=True, additional_headers=server.headers) as caller,
    ):
        await caller.send({"type": "audio", "data": "%"})
        error = await caller.wait_for("error")
        assert error["code"], "an error without a code"
        assert error["message"], "an error without a message"


CHECKS: tuple[Check, ...] = (
    opens_with_ready,
    answers_speech,
    goes_on_with_a_conversation,
    stops_when_spoken_over,
    names_what_is_wrong,
    refuses_what_is_too_big,
    refuses_a_bad_token,
    refuses_a_conversation_of_others,
    runs_a_session,
    gives_a_session_to_the_newer_socket,
    names_what_is_wrong_in_a_session,
)


def question(wav: Path | None) -> bytes:
    """The speech that is sent: a recording of one's own, or "What helps against a cold?"."""
    if wav is not None:
        return sounds.read_wav(wav)
    with resources.as_file(resources.files("medbot") / "question.wav") as kept:
        return sounds.read_wav(kept)


async def report(
    url: str,
    token: str | None,
    wav: Path | None,
    console: Console,
    *,
    checks: Sequence[Check] = CHECKS,
) -> bool:
    """Runs the checks and prints a line for each; whether all hold."""
    server, held = Server(url, token, question(wav)), True
    for check in checks:
        try:
            await check(server)
            line, style = "holds", "green"
        except (AssertionError, HungUp, TimeoutError, OSError, WebSocketException) as error:
            line, style, held = f"fails: {error or type(error).__name__}", "red", False
        console.print(f"{check.__name__.replace('_', ' '):<40}", end="")
        console.print(line, style=style, soft_wrap=True)
    return held
