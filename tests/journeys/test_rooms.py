"""A whole installation with a media server: calls begin, end, and outlive their agent's death."""

import asyncio
import json
import os
import signal
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from conversing import Person
from installation import Installation, installed, newcomer
from livekit import rtc
from processes import agents
from websockets.asyncio.client import connect

SESSION = "/api/v1/voice/session"
COMES_WITHIN = 60.0
"""Seconds for an agent that has only just been started, on a busy machine."""


@pytest.fixture(scope="module")
def whole() -> Iterator[Installation]:
    """An installation with rooms, running."""
    with installed(rooms=True) as made:
        made.begin()
        yield made


@pytest.fixture
async def sam(whole: Installation) -> AsyncIterator[Person]:
    """Somebody new."""
    async with newcomer(whole.url) as person:
        yield person


async def until(check: Callable[[], Awaitable[bool]], within: float) -> None:
    async with asyncio.timeout(within):
        while not await check():
            await asyncio.sleep(0.1)


async def make(person: Person, **body: Any) -> dict[str, Any]:
    answer = await person.http.post(SESSION, json=body)
    assert answer.status_code == 201, answer.text
    made: dict[str, Any] = answer.json()
    return made


async def reaches(person: Person, made: dict[str, Any], wanted: str, within: float) -> None:
    path = f"{SESSION}/{made['session_id']}/status"

    async def there() -> bool:
        return bool((await person.http.get(path)).json()["status"] == wanted)

    await until(there, within)


@asynccontextmanager
async def calling(made: dict[str, Any]) -> AsyncIterator[rtc.Room]:
    """In the room, with a silent microphone."""
    room = rtc.Room()
    await room.connect(made["livekit_url"], made["token"])
    source = rtc.AudioSource(48_000, 1)
    track = rtc.LocalAudioTrack.create_audio_track("microphone", source)
    options = rtc.TrackPublishOptions(source=rtc.TrackSource.SOURCE_MICROPHONE)
    await room.local_participant.publish_track(track, options)
    try:
        yield room
    finally:
        await room.disconnect()


async def greets_after(person: Person) -> float:
    """Seconds from asking for a session until its agent's first sound reaches the room."""
    started = time.monotonic()
    made = await make(person)
    async with calling(made) as room, asyncio.timeout(COMES_WITHIN):
        heard = asyncio.Event()
        room.on("track_subscribed", lambda *_: heard.set())
        await heard.wait()
        (agent,) = room.remote_participants.values()
        (published,) = agent.track_publications.values()
        assert published.track is not None
        async for event in rtc.AudioStream(published.track):
            if any(event.frame.data):
                break
    return time.monotonic() - started


@pytest.mark.journey
@pytest.mark.long
async def test_once_voice_is_ready_the_first_call_speaks_as_soon_as_the_next() -> None:
    with installed(rooms=True) as house:
        house.begin({"VOICE_PREWARM": "true"})
        assert house.up is not None
        house.up.wait_for("Voice is ready after")
        async with newcomer(house.url) as person:
            first, *later = [await greets_after(person) for _ in range(4)]
    assert first < 2 * max(later) + 1, (first, later)


@pytest.mark.journey
@pytest.mark.long
async def test_a_call_greets_and_its_agents_death_loses_nothing(
    whole: Installation, sam: Person
) -> None:
    made = await make(sam)
    path = f"/api/v1/conversations/{made['conversation_id']}"
    assert made["websocket_url"].startswith(f"ws://127.0.0.1:{whole.port}/")
    async with calling(made) as room:
        gone = asyncio.Event()
        room.on("disconnected", lambda *_: gone.set())
        token = sam.http.headers["authorization"].removeprefix("Bearer ")
        address = f"ws://127.0.0.1:{whole.port}/ws/transcript/{made['session_id']}?token={token}"
        async with connect(address) as transcript, asyncio.timeout(COMES_WITHIN):
            greeting = json.loads(await transcript.recv())
        assert (greeting["seq"], greeting["role"], greeting["final"]) == (1, "assistant", True)

        async def stored_already() -> bool:
            return bool(await sam.messages(path))

        await until(stored_already, within=5)
        (stored,) = await sam.messages(path)
        assert (stored["content"], stored["channel"]) == (greeting["text"], "voice")
        assert whole.up is not None
        (agent,) = agents(whole.up.process.pid)
        os.killpg(agent, signal.SIGKILL)
        killed = time.monotonic()
        await reaches(sam, made, "failed", within=15)
        assert time.monotonic() - killed < 15
        async with asyncio.timeout(10):
            await gone.wait()
    again = await make(sam, conversation_id=made["conversation_id"])
    async with calling(again):
        await reaches(sam, again, "active", within=COMES_WITHIN)
        assert (await sam.http.delete(f"{SESSION}/{again['session_id']}")).status_code == 204
    sent = await sam.send(path, "What is flu?")
    assert sent.status_code == 201
    said = [message["content"] for message in await sam.messages(path)]
    assert said.count(greeting["text"]) == 1
    assert said[0] == greeting["text"]
    assert said[-2] == "What is flu?"
