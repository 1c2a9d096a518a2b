"""Calls over every transport, and the chat that goes on with them."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
from callers import InRoom, Way, call
from cloud import Cloud
from conversing import Person
from httpx_sse import ServerSentEvent
from recognising import plain
from recounting import Truth

pytestmark = pytest.mark.journey

Arrive = Callable[[], Awaitable[Person]]
QUESTION = "what are the symptoms of diabetes"
WRITTEN = "I have had asthma since I was a child."


@asynccontextmanager
async def live(person: Person) -> AsyncIterator[list[ServerSentEvent]]:
    """What comes live while the block lasts."""
    got: list[ServerSentEvent] = []

    async def read() -> None:
        async with person.stream("GET", "/api/v1/events") as events:
            async for event in events:
                got.append(event)

    task = asyncio.create_task(read())
    await asyncio.sleep(0.3)
    try:
        yield got
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def answered_aloud(person: Person, cloud: Cloud, way: Way, voice: str) -> None:
    """Greeted, asked, answered, shown live, and gone on with in writing."""
    async with live(person) as events:
        async with call(person, way) as talker:
            await talker.greeted()
            heard, answer = await talker.ask(QUESTION, voice)
        assert plain(heard) == plain(QUESTION)
        assert "diabetes" in answer
        assert talker.sound.heard_at(talker.spoke_until) is not None
        if isinstance(talker, InRoom):
            assert {"listening", "thinking", "speaking"} <= set(talker.states)
            assert talker.interim, "words are shown while they are spoken"
        truth = Truth(person, talker.conversation_id)
        truth.spoken(talker)
        assert [line.role for line in truth.lines] == ["assistant", "user", "assistant"]
        before = list(truth.lines)
        asked = f"What did I ask you {way}?"
        await truth.write(asked)
        assert all(line.text in cloud.told_with(asked) for line in before)
        await truth.holds()
        async with asyncio.timeout(10):
            while "voice.session.ended" not in [event.event for event in events]:
                await asyncio.sleep(0.05)
    await told_live(person, truth, events)


async def told_live(person: Person, truth: Truth, events: list[ServerSentEvent]) -> None:
    """Each message was told once and in order, each session at its start and at its end."""
    messages = await person.messages(truth.path)
    kinds = [event.event for event in events]
    created = [event.json()["ref"]["message_id"] for event in events
               if event.event == "message.created"]  # fmt: skip
    assert created == [one["id"] for one in messages]
    sessions = [kind for kind in kinds if kind.startswith("voice.")]
    assert sessions == ["voice.session.started", "voice.session.ended"]


async def begun_in_writing(person: Person, cloud: Cloud) -> None:
    """The agent knows what was written before, and in the middle; it greets once."""
    path = await person.start()
    truth = Truth(person, path.rsplit("/", 1)[1])
    await truth.write(WRITTEN)
    async with call(person, "room", truth.conversation_id, pipeline="cascade") as talker:
        await talker.greeted()
        heard, _ = await talker.ask("what helps against a headache")
        truth.spoken(talker)
        assert WRITTEN in cloud.told_with(heard)
        talker.forget()
        await truth.write("My name is Wilhelmyna.")
        heard, _ = await talker.ask("what are the symptoms of asthma")
        assert "Wilhelmyna" in cloud.told_with(heard)
        truth.spoken(talker)
    async with call(person, "session", truth.conversation_id, pipeline="cascade") as again:
        await again.ask("what are the symptoms of flu")
        truth.spoken(again)
    assert [line.role for line in again.lines] == ["user", "assistant"], "greeted twice"
    await truth.holds()


async def test_calls_are_answered_and_the_chat_goes_on(arrive: Arrive, cloud: Cloud) -> None:
    people = [await arrive() for _ in range(3)]
    async with asyncio.TaskGroup() as group:
        group.create_task(answered_aloud(people[0], cloud, "room", "slt"))
        group.create_task(answered_aloud(people[1], cloud, "voice", "rms"))
        group.create_task(answered_aloud(people[2], cloud, "session", "awb"))


@pytest.mark.long
async def test_a_call_goes_on_with_what_was_written(arrive: Arrive, cloud: Cloud) -> None:
    await begun_in_writing(await arrive(), cloud)
