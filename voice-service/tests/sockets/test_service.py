"""Both sockets of the whole service: real sessions, rows, turns and messages behind them."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID

import pytest
from calling import Caller, HungUp, calling, decoded, mp3_of, pcm_of, speech
from conversing import Person, Start
from model_server import ModelServer, Say
from pydantic import SecretStr
from speech_server import SpeechServer
from starlette.applications import Starlette
from voice_parts import words_begun

from kit.testing import Served, serve
from voice_service.sockets.fullness import EVERY, LOOKS
from voice_service.sockets.lines import Code
from voice_service.sockets.mp3 import DELAY

QUESTION = "what helps against a cold"
LONG = " ".join(f"word{place}" for place in range(40)) + "."
START = {"type": "control", "action": "start"}
STOP = {"type": "control", "action": "stop"}


class Provider:
    """OpenAI on the loopback."""

    def __init__(self) -> None:
        self.speech = SpeechServer()
        self.model = ModelServer([[Say("Rest and drink plenty of water.")]])

    def app(self) -> Starlette:
        return Starlette(routes=[*self.speech.routes(), *self.model.app().routes])


@pytest.fixture
def provider() -> Provider:
    return Provider()


@pytest.fixture
async def service(provider: Provider, start: Start) -> AsyncIterator[Served]:
    """The service with OpenAI's cascade, from the loopback."""
    async with serve(provider.app()) as served:
        yield await start(
            openai_api_key=SecretStr("sk-test"),
            openai_base_url=f"{served.url}/v1",
            voice_pipeline="cascade",
            voice_turn_detection="vad",
            allow_guest_voice=True,
        )


def address(served: Served, path: str) -> str:
    return f"{served.url.replace('http', 'ws', 1)}{path}"


def bearer(person: Person) -> dict[str, Any]:
    return {"additional_headers": {"authorization": person.http.headers["authorization"]}}


async def messages_of(writing: Person, conversation_id: str, count: int) -> list[dict[str, Any]]:
    """The conversation's messages once there are `count`, or what there is after a while."""
    async with asyncio.timeout(10):
        while True:
            answer = await writing.http.get(f"/api/v1/conversations/{conversation_id}/messages")
            items: list[dict[str, Any]] = answer.json()["items"]
            if len(items) >= count:
                return items
            await asyncio.sleep(0.1)


async def ask(caller: Caller, *, done: str) -> None:
    """Asks the question after the greeting and waits for the end of the answer."""
    await caller.wait_for(done)
    so_far = len(caller.got)
    await caller.say(speech(QUESTION))
    async with caller.listening():
        await caller.wait_for(done, after=so_far)


async def test_a_call_is_one_conversation_with_its_turns(
    service: Served, provider: Provider, alice: Person, writing: Person
) -> None:
    provider.speech.hears = ["What helps against a cold?"]
    async with calling(address(service, "/ws/voice"), **bearer(alice)) as caller:
        ready = await caller.wait_for("ready")
        await ask(caller, done="audio_complete")
    (heard,) = caller.all("user_transcript")
    assert heard["text"] == "What helps against a cold?"
    said = [one["text"] for one in caller.all("assistant_transcript")]
    assert said[-1] == "Rest and drink plenty of water."
    stored = await messages_of(writing, ready["conversation_id"], 3)
    assert [one["role"] for one in stored] == ["assistant", "user", "assistant"]
    assert {one["channel"] for one in stored} == {"websocket"}
    assert " ".join(said[:-1]) == stored[0]["content"]
    assert stored[2]["content"] == "Rest and drink plenty of water."


async def test_a_call_goes_on_with_a_conversation_and_greets_once(
    service: Served, provider: Provider, alice: Person, writing: Person
) -> None:
    provider.speech.hears = ["What helps against a cold?", "And what else?"]
    url = address(service, "/ws/voice")
    async with calling(url, **bearer(alice)) as first:
        ready = await first.wait_for("ready")
        await first.wait_for("audio_complete")
    query = f"?conversation_id={ready['conversation_id']}"
    async with calling(f"{url}{query}", **bearer(alice)) as second:
        again = await second.wait_for("ready")
        await second.say(speech(QUESTION))
        async with second.listening():
            await second.wait_for("audio_complete")
    assert again["conversation_id"] == ready["conversation_id"]
    assert len({one["text"] for one in second.all("assistant_transcript")}) == 1
    stored = await messages_of(writing, ready["conversation_id"], 3)
    assert [one["role"] for one in stored] == ["assistant", "user", "assistant"]


async def test_a_reply_cut_short_is_stored_as_far_as_it_was_received(
    service: Served, provider: Provider, alice: Person, writing: Person
) -> None:
    provider.speech.hears = ["What helps against a cold?", "Stop, please."]
    provider.model.scripts = [[Say(LONG)], [Say("Fine.")]]
    async with calling(address(service, "/ws/voice"), **bearer(alice)) as caller:
        ready = await caller.wait_for("ready")
        await caller.wait_for("audio_complete")
        so_far = len(caller.got)
        await caller.say(speech(QUESTION))
        async with caller.listening():
            await caller.wait_for("audio", after=so_far)
            await asyncio.sleep(1.5)
        await caller.say(speech("please stop talking now"))
        async with caller.listening():
            await caller.wait_for("interrupted", after=so_far)
    cut = caller.names().index("interrupted")
    reply = [one for _, one in caller.got[so_far:cut] if one["event"] == "audio"]
    heard = words_begun(decoded(mp3_of(reply)), least=DELAY / 24_000)
    stored = await messages_of(writing, ready["conversation_id"], 4)
    assert stored[2]["status"] == "interrupted"
    words = stored[2]["content"].split()
    assert words == LONG.split()[: len(words)]
    assert abs(len(words) - heard) <= 2


async def test_a_session_is_started_typed_to_and_stopped(
    service: Served, alice: Person, writing: Person
) -> None:
    made = (await alice.http.post("/api/v1/voice/session", json={})).json()
    path = f"/api/v1/voice/session/{made['session_id']}/ws"
    assert made["websocket_url"].endswith(path)
    async with calling(made["websocket_url"], session=True, **bearer(alice)) as caller:
        await caller.send(START)
        await caller.send({"type": "text", "text": "What helps against a cold?"})
        async with asyncio.timeout(15):
            while not any(
                "water" in one["text"] and one["final"] for one in caller.all("transcript")
            ):
                await asyncio.sleep(0.05)
        await caller.send(STOP)
        assert await caller.closed() == 1000
    assert pcm_of(caller.all("audio"))
    assert caller.all("status")[-1]["status"] == "ended"
    status = (await alice.http.get(f"/api/v1/voice/session/{made['session_id']}/status")).json()
    assert status["status"] == "ended"
    stored = await messages_of(writing, made["conversation_id"], 2)
    assert "What helps against a cold?" in [one["content"] for one in stored]
    async with calling(made["websocket_url"], session=True, **bearer(alice)) as late:
        assert await late.closed() == 4410


async def test_a_page_that_is_loaded_again_goes_on_after_what_was_heard_before(
    service: Served, provider: Provider, alice: Person, writing: Person
) -> None:
    provider.speech.hears = ["What helps against a cold?"]
    made = (await alice.http.post("/api/v1/voice/session", json={})).json()
    async with calling(made["websocket_url"], session=True, **bearer(alice)) as caller:
        await caller.send(START)
        await caller.wait_for("audio")
        await asyncio.sleep(1.0)
    url = address(service, f"/ws/voice?conversation_id={made['conversation_id']}")
    async with calling(url, **bearer(alice)) as again:
        await again.wait_for("ready")
        await again.say(speech(QUESTION))
        async with again.listening():
            await again.wait_for("audio_complete")
        stored = await messages_of(writing, made["conversation_id"], 3)
        before = (await alice.http.get(f"/api/v1/voice/session/{made['session_id']}")).json()
    assert before["status"] == "ended"
    assert [(one["role"], one["status"]) for one in stored] == [
        ("assistant", "interrupted"), ("user", "complete"), ("assistant", "complete"),
    ]  # fmt: skip


async def test_deleting_a_session_ends_its_socket(service: Served, alice: Person) -> None:
    made = (await alice.http.post("/api/v1/voice/session", json={})).json()
    async with calling(made["websocket_url"], session=True, **bearer(alice)) as caller:
        await caller.send(START)
        await caller.wait_for("audio")
        await alice.http.delete(f"/api/v1/voice/session/{made['session_id']}")
        assert await caller.closed() == 1000


async def test_only_its_owner_gets_into_a_session(
    service: Served, alice: Person, bob: Person
) -> None:
    made = (await alice.http.post("/api/v1/voice/session", json={})).json()
    async with calling(made["websocket_url"], session=True, **bearer(bob)) as other:
        assert await other.closed() == 4404
    conversation = f"?conversation_id={made['conversation_id']}"
    async with calling(address(service, f"/ws/voice{conversation}"), **bearer(bob)) as other:
        assert await other.closed() == 4404
    async with calling(address(service, f"/ws/voice{conversation}")) as guest:
        assert await guest.closed() == 4404


async def test_guests_may_call_where_they_may(service: Served) -> None:
    async with calling(address(service, "/ws/voice")) as guest:
        assert UUID((await guest.wait_for("ready"))["conversation_id"])
        await guest.wait_for("audio_complete")


async def test_guests_may_not_call_elsewhere(start: Start) -> None:
    service = await start()
    async with calling(address(service, "/ws/voice")) as guest:
        assert await guest.closed() == 4401


async def test_more_calls_than_one_may_have_are_refused(service: Served, alice: Person) -> None:
    for _ in range(5):
        assert (await alice.http.post("/api/v1/voice/session", json={})).status_code == 201
    async with calling(address(service, "/ws/voice"), **bearer(alice)) as caller:
        assert await caller.closed() == 4429


@asynccontextmanager
async def too_much_to_do() -> AsyncIterator[None]:
    """The loop works nearly all the time, in short steps."""

    async def work() -> None:
        while True:
            until = time.thread_time() + 0.003
            while time.thread_time() < until:
                pass
            await asyncio.sleep(0)

    working = asyncio.create_task(work())
    try:
        yield
    finally:
        working.cancel()


async def hangs_up(caller: Caller) -> int | None:
    """The code with which the service closes, if it does so before it greets."""
    with contextlib.suppress(HungUp):
        await caller.wait_for("ready", within=30)
        return None
    return await caller.closed()


async def test_when_no_more_calls_can_be_carried_those_that_run_go_on(
    service: Served, alice: Person, bob: Person
) -> None:
    url = address(service, "/ws/voice")
    session_id = (await bob.http.post("/api/v1/voice/session", json={})).json()["session_id"]
    session = address(service, f"/api/v1/voice/session/{session_id}/ws")
    async with calling(url, **bearer(alice)) as running:
        await running.wait_for("audio_complete")
        async with too_much_to_do():
            await asyncio.sleep(LOOKS * EVERY)
            async with calling(url, **bearer(bob)) as refused:
                assert await hangs_up(refused) == Code.TRY_LATER
            async with calling(session, session=True, **bearer(bob)) as waiting:
                await waiting.send(START)
                assert (await waiting.wait_for("error"))["code"] == "voice.busy"
                assert await waiting.closed() == Code.TRY_LATER
        (told,) = refused.all("error")
        assert "call again in a minute" in told["message"]
        assert "emergency, call 999" in told["message"]
        assert "medbot_voice_calls_refused_total 2.0" in (await bob.http.get("/metrics")).text
        await ask(running, done="audio_complete")
        async with asyncio.timeout(3 * LOOKS * EVERY):
            while True:
                async with calling(url, **bearer(bob)) as again:
                    if await hangs_up(again) is None:
                        break
