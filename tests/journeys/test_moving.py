"""People who move between writing and speaking, some cut off or their agent killed on the way."""

import asyncio
import os
import random
import signal
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Literal

import pytest
from callers import FILLED, SESSION, OnSocket, Talker, Way, call
from cloud import Cloud
from conversing import Person
from installation import Installation, spoken
from processes import agents
from recounting import Truth

pytestmark = pytest.mark.journey

Arrive = Callable[[], Awaitable[Person]]
Step = Literal["writing", "room", "voice", "session", "cut", "killed"]
"""`cut` loses the network of a socket in the middle of an answer, `killed` loses the agent."""

CALLS: tuple[Step, ...] = ("room", "voice", "session")
ENDED_WITHIN = 15.0
COMES_WITHIN = 90.0
GIVEN_UP_WITHIN = 25.0
"""Seconds in which a session without a socket has ended."""
TRIES = 4
SESSIONS = "/api/v1/voice/sessions"
SENTENCES = (
    "what are the symptoms of diabetes",
    "what are the symptoms of asthma",
    "what helps against a headache",
    "what are the symptoms of flu",
    "thank you very much",
)
VOICES = ("slt", "rms", "awb", "kal16")
LOSES: tuple[Step | None, ...] = ("killed", "cut", None, "cut", "killed")


@dataclass
class Journey:
    """One person's way through the transports."""

    person: Person
    steps: list[Step]
    draw: random.Random
    killer: "Killer"
    pipeline: str | None = "cascade"

    async def go(self) -> Truth:
        """All of it, each step once, and what must be there afterwards."""
        path = await self.person.start()
        truth = Truth(self.person, path.rsplit("/", 1)[1])
        for number, step in enumerate(self.steps):
            if step == "writing":
                await truth.write(f"Written in step {number}, {self.draw.random()}.")
            else:
                await self._call(truth, step)
        await truth.write("And in writing at the end.")
        await truth.holds()
        return truth

    async def _call(self, truth: Truth, step: Step) -> None:
        way = self._way(step)
        pipeline = None if way == "voice" else self.pipeline
        async with call(self.person, way, truth.conversation_id, pipeline) as talker:
            greeted = any(channel != "chat" for channel in truth.channels)
            if not greeted:
                await talker.greeted()
            await talker.until(lambda: greeted or talker.lines)
            if step in CALLS:
                await talker.ask(self.draw.choice(SENTENCES), self.draw.choice(VOICES))
                truth.spoken(talker)
                return
            await self._half(talker, step)
            await self._lose(talker, step)
            truth.spoken(talker)
            if truth.lines[-1].role == "user":
                truth.broke_off(talker, may_be_missing=step == "killed")

    def _way(self, step: Step) -> Way:
        if step == "killed":
            return "room"
        if step == "cut":
            return self.draw.choice(("voice", "session"))
        assert step != "writing"
        return step

    async def _half(self, talker: Talker, step: Step) -> None:
        """Asks, and hears the beginning of the answer; asks again where it was not caught, or where
        a busy machine lets the whole of it be heard at once."""
        words, voice = self.draw.choice(SENTENCES[:4]), self.draw.choice(VOICES)
        if step == "killed":
            await self.killer.meet()
        before = len(talker.lines)
        for _ in range(TRIES):
            await talker.say(words, voice)
            await talker.answering()
            await talker.hears()
            await asyncio.sleep(0.3)
            said = [line for line in talker.lines[before:] if line.text not in FILLED]
            if said and said[-1].role == "user":
                return
            await talker.quiet()
        raise AssertionError(talker.lines)

    async def _lose(self, talker: Talker, step: Step) -> None:
        if step == "cut":
            assert isinstance(talker, OnSocket)
            talker.cut()
            await self._all_ended()
            return
        await self.killer.kill()
        killed = time.monotonic()
        path = f"{SESSION}/{talker.session_id}/status"
        while (await self.person.http.get(path)).json()["status"] != "failed":
            assert time.monotonic() - killed < ENDED_WITHIN, "a dead agent's session goes on"
            await asyncio.sleep(0.2)
        await talker.until(lambda: talker.gone, within=10)

    async def _all_ended(self) -> None:
        """A lost socket's session waits for the next socket, then ends."""
        async with asyncio.timeout(GIVEN_UP_WITHIN):
            while True:
                sessions = (await self.person.http.get(SESSIONS)).json()["items"]
                if all(one["status"] == "ended" for one in sessions):
                    return
                await asyncio.sleep(0.2)


class Killer:
    """Kills the agent once all who are to lose it are in the middle of an answer."""

    def __init__(self, house: Installation, parties: int) -> None:
        self._house = house
        self._barrier = asyncio.Barrier(parties)

    async def meet(self) -> int:
        """Waits for the others."""
        async with asyncio.timeout(COMES_WITHIN):
            return await self._barrier.wait()

    async def kill(self) -> None:
        """The agent is dead when this returns."""
        if await self.meet() == 0:
            assert self._house.up is not None
            (agent,) = agents(self._house.up.process.pid)
            os.killpg(agent, signal.SIGKILL)
        await self.meet()


def ways(draw: random.Random, loses: Step | None) -> list[Step]:
    """Three or four steps, of which one loses something in some."""
    usual: tuple[Step, ...] = ("writing", "voice", "session", "room")
    steps = [draw.choice(usual) for _ in range(draw.choice((2, 3)))]
    if loses == "killed":
        return [steps[0], "killed", *steps[1:]]
    if loses == "cut":
        steps.insert(draw.randrange(len(steps) + 1), "cut")
    if not set(steps) & {"cut", *CALLS}:
        steps.append(draw.choice(CALLS))
    return steps


async def all_go(house: Installation, arrive: Arrive, wanted: list[list[Step]], seed: int) -> None:
    """Several journeys at once."""
    killer = Killer(house, max(1, sum("killed" in steps for steps in wanted)))
    async with asyncio.TaskGroup() as group:
        for number, steps in enumerate(wanted):
            draw = random.Random(seed * 1000 + number)
            journey = Journey(await arrive(), steps, draw, killer)
            group.create_task(journey.go())


@pytest.fixture
def speaking(
    request: pytest.FixtureRequest, _with_rooms: Installation, cloud_port: int
) -> Installation:
    """It speaks by the cascade, also to `/ws/voice`, where there is a seed: what many say is short
    then. It is not started anew for each seed."""
    pipeline = "cascade" if "seed" in request.fixturenames else "offline"
    _with_rooms.begin(spoken(cloud_port, VOICE_PIPELINE=pipeline))
    return _with_rooms


@pytest.mark.long
async def test_nothing_is_lost_on_the_way(
    speaking: Installation, arrive: Arrive, cloud: Cloud
) -> None:
    wanted: list[list[Step]] = [
        ["writing", "session", "writing", "voice"],
        ["session", "cut", "writing"],
        ["room", "killed", "writing"],
        ["killed", "room"],
    ]
    await all_go(speaking, arrive, wanted, seed=1)


@pytest.mark.alone
@pytest.mark.long
@pytest.mark.parametrize("seed", range(2, 12))
async def test_fifty_journeys(
    speaking: Installation, arrive: Arrive, cloud: Cloud, seed: int
) -> None:
    """Five at once, ten times; an agent that is killed is that of all five."""
    draw = random.Random(seed)
    loses = LOSES[seed % len(LOSES)]
    await all_go(speaking, arrive, [ways(draw, loses) for _ in range(5)], seed)
