"""Callers who speak over the assistant, and emergencies at any moment, over every transport."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Literal

import cut_short
import pytest
from callers import WAYS, InRoom, OnSession, OnVoice, Talker, Way, call
from cloud import Cloud
from conversing import Person
from model_server import Say
from recounting import messages_of, shown

from voice_service.agent import phrases

pytestmark = pytest.mark.journey

Arrive = Callable[[], Awaitable[Person]]
Moment = Literal["at once", "over the greeting", "over an answer", "in silence"]
QUESTION = "what are the symptoms of diabetes"
OVER = "what are the symptoms of asthma"
EMERGENCY = "i have chest pain"
SLACK: dict[type[Talker], float] = {InRoom: 0.08, OnVoice: 0.02, OnSession: 0.02}
"""Seconds to which the end of what was heard can be told; in a room the network stretches it."""
HELP = "emergency"
"""Stands in what a person in danger is told, and in nothing else that is said in these tests."""
LONG = "Well, " + ", ".join(f"this is part {place} of it" for place in range(1, 12)) + "."


async def cut_answer(
    person: Person, way: Way, pipeline: str | None, after: float
) -> tuple[str, Talker]:
    """Asks, and speaks over the answer; what is stored of that."""
    async with call(person, way, pipeline=pipeline) as talker:
        await talker.greeted()
        await talker.say(QUESTION)
        await talker.answering()
        await asyncio.sleep(after)
        await talker.say(OVER)
        await talker.until(lambda: len(talker.of("user")) == 2)
        await talker.answering()
    path = f"/api/v1/conversations/{talker.conversation_id}"
    stored = await messages_of(person, path, 4)
    kept = stored[2]
    assert (kept["role"], kept["status"]) == ("assistant", "interrupted"), shown(stored)
    assert (stored[3]["role"], stored[3]["content"]) == ("user", talker.of("user")[1])
    return kept["content"], talker


@pytest.mark.alone
@pytest.mark.long
async def test_what_is_stored_is_what_was_played(arrive: Arrive, cloud: Cloud) -> None:
    """To the word where offline voice speaks, within two words where a provider does."""
    cloud.model.scripts = [[Say(LONG)]]
    people = [await arrive() for _ in range(5)]
    *offline, room, session = await asyncio.gather(
        cut_answer(people[0], "room", "offline", 2.0),
        cut_answer(people[1], "voice", None, 2.4),
        cut_answer(people[2], "session", "offline", 1.6),
        cut_answer(people[3], "room", "cascade", 1.2),
        cut_answer(people[4], "session", "cascade", 1.0),
    )
    for stored, talker in offline:
        asked = talker.of("user")[0]
        answer = phrases.DID_YOU_SAY.format(words=asked)  # where it was not sure
        if not stored.startswith(answer[:10]):
            answer = await cut_short.answer(asked)
        made, words = await cut_short.spoken_offline(answer)
        least, most = cut_short.heard_offline(talker.cut_reply(), made)
        exact = SLACK[type(talker)]
        could = {cut_short.begun(at, words) for at in (least - exact, least, most, most + exact)}
        assert stored in could, (type(talker), least, most)
        assert 2 < len(stored.split()) < len(answer.split())
    for stored, talker in (room, session):
        doubted = phrases.DID_YOU_SAY.format(words=talker.of("user")[0])
        answer = LONG if LONG.startswith(stored) else doubted
        assert answer.startswith(stored)
        first = len(doubted.partition(".")[0].split())
        before = (0,) if answer == LONG else (0, first)  # it was cut in one of two sentences
        heard = cut_short.tones_heard(talker.cut_reply())  # of the sentence that was cut
        count = len(stored.split())
        assert any(abs(count - words - heard) <= 2 for words in before), (stored, heard)
        assert 2 < len(stored.split()) < len(answer.split())


async def emergency(person: Person, way: Way, moment: Moment) -> None:
    """Says it, and hears and reads the words of help; what was said is kept."""
    async with call(person, way) as talker:
        if moment == "over the greeting":
            await talker.hears()
            await asyncio.sleep(0.6)
        elif moment != "at once":
            await talker.greeted()
        if moment == "over an answer":
            await talker.say(QUESTION)
            await talker.answering()
            await asyncio.sleep(1.0)
        await talker.say(EMERGENCY)
        await talker.until(lambda: HELP in " ".join(talker.begun), within=20)
        said_at = talker.spoke_until
        await talker.until(lambda: any("chest pain" in text for text in talker.of("user")))
        await talker.until(lambda: any(HELP in text for text in talker.of("assistant")), within=40)
        assert talker.sound.heard_at(said_at) is not None
    path = f"/api/v1/conversations/{talker.conversation_id}"
    async with asyncio.timeout(10):
        while not any(HELP in one["content"] for one in await person.messages(path)):
            await asyncio.sleep(0.1)
    stored = await person.messages(path)
    words = [one for one in stored if one["role"] == "user" and "chest pain" in one["content"]]
    assert len(words) == 1, shown(stored)
    assert words[0]["triage"]["level"] == "emergency"
    help_ = [one for one in stored if one["role"] == "assistant" and HELP in one["content"]]
    assert help_, shown(stored)
    assert help_[0]["status"] == "complete"


MOMENTS: tuple[Moment, ...] = ("at once", "over the greeting", "over an answer", "in silence")


@pytest.mark.long
async def test_an_emergency_is_answered_at_any_moment(arrive: Arrive) -> None:
    ways: tuple[Way, ...] = ("voice", "room", "session", "room")
    async with asyncio.TaskGroup() as group:
        for way, moment in zip(ways, MOMENTS, strict=True):
            group.create_task(emergency(await arrive(), way, moment))


@pytest.mark.long
@pytest.mark.parametrize("way", WAYS)
async def test_an_emergency_is_answered_at_each_moment(arrive: Arrive, way: Way) -> None:
    async with asyncio.TaskGroup() as group:
        for moment in MOMENTS:
            group.create_task(emergency(await arrive(), way, moment))
