"""Calls that lose their network, their media server or their service in the middle of an answer."""

import asyncio
import contextlib
import json
import os
import signal
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from callers import SESSION, OnSocket, Way, call, make
from cloud import Cloud
from conversing import Person
from installation import Installation
from model_server import Say
from processes import agents
from recounting import shown, told

from medbot import media

pytestmark = [pytest.mark.journey, pytest.mark.long]

Arrive = Callable[[], Awaitable[Person]]
SUPPORT = Path(__file__).resolve().parents[1] / "support"
QUESTION = "how is diabetes treated"
AGAIN = "how is asthma treated"
"""Both are heard with a certainty far above that below which a caller is asked again."""
LONG = "Well, " + ", ".join(f"this is part {place} of it" for place in range(1, 16)) + "."
ENDED_WITHIN = 15.0
AWAY = 50.0
"""Seconds, of which a lost socket is waited for during the first 15."""
STOPPED_WITHIN = 40.0
"""Seconds that whoever stops a service waits for it, as DEPLOYMENT.md has it."""
NOT_RECORDED = '"voice.turns_not_recorded"'


@dataclass
class Far:
    """A caller in a room who is a process; `told` is what it has told."""

    process: asyncio.subprocess.Process
    made: dict[str, Any]
    told: list[dict[str, Any]] = field(default_factory=list)

    async def say(self, words: str) -> None:
        """Has it speak."""
        assert self.process.stdin is not None
        self.process.stdin.write(f"{words}\n".encode())
        await self.process.stdin.drain()

    async def read(self) -> None:
        """Until it ends."""
        assert self.process.stdout is not None
        async for line in self.process.stdout:
            self.told.append(json.loads(line))

    async def until(self, check: Callable[[], Any], within: float = 60.0) -> None:
        """Waits for what it tells."""
        try:
            async with asyncio.timeout(within):
                while not check():
                    await asyncio.sleep(0.05)
        except TimeoutError:
            raise AssertionError(self.told) from None

    def lines(self, role: str) -> list[str]:
        """What one side said."""
        return [one["text"] for one in self.told if one["kind"] == "line" and one["role"] == role]

    def begun(self) -> list[str]:
        """What the assistant says, as it is shown."""
        return [one["text"] for one in self.told if one["kind"] == "begun"]

    def kinds(self) -> set[str]:
        return {one["kind"] for one in self.told}


@asynccontextmanager
async def far_caller(person: Person, **body: Any) -> AsyncIterator[Far]:
    """Somebody in a room, killed at the end."""
    made = await make(person, pipeline="cascade", **body)
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        str(SUPPORT / "far_caller.py"),
        made["livekit_url"],
        made["token"],
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(SUPPORT)},
    )
    far = Far(process, made)
    reading = asyncio.create_task(far.read())
    try:
        await far.until(lambda: "entered" in far.kinds(), within=120)
        yield far
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()
        await reading


async def in_mid_answer(far: Far, words: str = QUESTION) -> None:
    """Asks, and waits until some of the answer was heard."""
    before = len(far.begun())
    await far.say(words)
    await far.until(lambda: any("part 2" in text for text in far.begun()[before:]))


async def status_of(person: Person, made: dict[str, Any]) -> str:
    return str((await person.http.get(f"{SESSION}/{made['session_id']}/status")).json()["status"])


async def ends(person: Person, made: dict[str, Any], within: float = ENDED_WITHIN) -> None:
    """The session is over in time."""
    begun = time.monotonic()
    while (status := await status_of(person, made)) not in {"ended", "failed"}:
        assert time.monotonic() - begun < within, status
        await asyncio.sleep(0.2)


async def goes_on(person: Person, made: dict[str, Any], role: str = "assistant") -> None:
    """All that was heard is there once and in order, and another call knows it."""
    path = f"/api/v1/conversations/{made['conversation_id']}"
    kept: list[dict[str, Any]] = []
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(15):
            while not kept or kept[-1]["role"] != role or "part 1" not in kept[-1]["content"]:
                await asyncio.sleep(0.1)
                kept = await told(person, path)
    assert [one["role"] for one in kept] == ["assistant", "user", "assistant"], shown(kept)
    assert "diabetes" in kept[1]["content"], shown(kept)
    assert kept[2]["status"] == "interrupted"
    words = kept[2]["content"].split()
    assert LONG.split()[: len(words)] == words
    assert 4 < len(words) < len(LONG.split())
    async with call(person, "session", made["conversation_id"], "cascade") as talker:
        await talker.ask(AGAIN)
    after = await told(person, path)
    assert shown(after)[:3] == shown(kept)
    assert [one["role"] for one in after[3:]] == ["user", "assistant"], shown(after)


@pytest.fixture
async def patient(arrive: Arrive, cloud: Cloud) -> Person:
    """Gets long answers."""
    cloud.model.scripts = [[Say(LONG)]]
    return await arrive()


async def test_a_caller_whose_network_was_away_goes_on_in_the_room(patient: Person) -> None:
    async with far_caller(patient) as far:
        await far.until(lambda: far.lines("assistant"))
        await in_mid_answer(far)
        far.process.send_signal(signal.SIGSTOP)
        await asyncio.sleep(5)
        far.process.send_signal(signal.SIGCONT)
        await asyncio.sleep(8)
        before = len(far.lines("user"))
        await far.say(AGAIN)
        await far.until(lambda: len(far.lines("user")) > before)
        assert await status_of(patient, far.made) == "active"
    await both_are_kept(patient, far.made)


async def both_are_kept(person: Person, made: dict[str, Any]) -> None:
    """Each question is a message, once and in order."""
    path = f"/api/v1/conversations/{made['conversation_id']}"
    asked: list[str] = []
    async with asyncio.timeout(15):
        while not any("asthma" in words for words in asked):
            await asyncio.sleep(0.1)
            kept = await person.messages(path)
            asked = [one["content"] for one in kept if one["role"] == "user"]
    assert len(asked) == 2, shown(kept)
    assert "diabetes" in asked[0], shown(kept)


async def test_a_caller_who_does_not_come_back_has_ended_the_call(patient: Person) -> None:
    async with far_caller(patient) as far:
        await far.until(lambda: far.lines("assistant"))
        await in_mid_answer(far)
        far.process.kill()
        path = f"{SESSION}/{far.made['session_id']}/status"
        async with asyncio.timeout(45):
            while (await patient.http.get(path)).json()["participants"]:
                await asyncio.sleep(0.2)
        await ends(patient, far.made)
    path = f"/api/v1/conversations/{far.made['conversation_id']}"
    async with asyncio.timeout(15):
        while len(kept := await told(patient, path)) < 3:
            await asyncio.sleep(0.1)
    assert [one["role"] for one in kept] == ["assistant", "user", "assistant"], shown(kept)
    assert LONG.startswith(kept[2]["content"])


def media_server_of(house: Installation) -> int:
    """The process of an installation's media server."""
    assert house.up is not None
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
                command = (entry / "cmdline").read_bytes()
                if parent == house.up.process.pid and media.PROGRAM.encode() in command:
                    return int(entry.name)
    raise AssertionError("there is no media server")


async def test_a_media_server_that_dies_loses_no_words(
    patient: Person, speaking: Installation
) -> None:
    """It is started again, both sides come back to the room, and the call goes on."""
    async with far_caller(patient) as far:
        await far.until(lambda: far.lines("assistant"))
        await in_mid_answer(far)
        os.kill(media_server_of(speaking), signal.SIGKILL)
        await far.until(lambda: "reconnected" in far.kinds())
        await asyncio.sleep(3)
        await far.say(AGAIN)
        await far.until(lambda: any("asthma" in text for text in far.lines("user")))
    await both_are_kept(patient, far.made)


@pytest.mark.parametrize("way", ["voice", "session"])
@pytest.mark.parametrize("how", ["killed", "stopped"])
async def test_a_service_that_ends_loses_no_words(
    patient: Person, speaking: Installation, cloud_port: int, way: Way, how: str
) -> None:
    told = {**speaking.env, "VOICE_PIPELINE": "cascade"}
    await asyncio.to_thread(speaking.begin, told)
    async with call(patient, way, pipeline=None) as talker:
        assert isinstance(talker, OnSocket)
        await talker.greeted()
        await talker.say(QUESTION)
        await talker.answering()
        await asyncio.sleep(4)
        await asyncio.to_thread(speaking.kill if how == "killed" else speaking.end)
        await talker.until(lambda: talker.gone)
        assert talker.caller.code == (1006 if how == "killed" else 1012)
    await asyncio.to_thread(speaking.begin)
    items = (await patient.http.get("/api/v1/voice/sessions")).json()["items"]
    (made,) = [one for one in items if one["conversation_id"] == talker.conversation_id]
    made["session_id"] = made.get("session_id", made.get("id"))
    await ends(patient, made)
    await goes_on(patient, made)


async def test_what_was_said_last_waits_for_a_database_that_is_away(
    patient: Person, speaking: Installation
) -> None:
    """The caller asks, hears an answer and loses the network, and nothing can be stored of it."""
    async with call(patient, "session", pipeline="cascade") as talker:
        assert isinstance(talker, OnSocket)
        await talker.greeted()
        path = f"/api/v1/conversations/{talker.conversation_id}"
        async with asyncio.timeout(10):
            while not await told(patient, path):
                await asyncio.sleep(0.1)
        await asyncio.to_thread(speaking.stop_database, "immediate")
        try:
            await talker.say(QUESTION)
            await talker.answering()
            await asyncio.sleep(4)
            talker.cut()
            await asyncio.sleep(AWAY)
        finally:
            await asyncio.to_thread(speaking.start_database)
    made = {"session_id": talker.session_id, "conversation_id": talker.conversation_id}
    await ends(patient, made, within=45)
    await goes_on(patient, made)


async def test_a_service_that_is_told_to_stop_gives_up_on_a_database_that_stays_away(
    patient: Person, speaking: Installation
) -> None:
    """It says what it could not store, and what was stored before is still there."""
    log = speaking.data_dir / "logs" / "medbot.log"
    before = log.read_text().count(NOT_RECORDED)
    async with call(patient, "session", pipeline="cascade") as talker:
        assert isinstance(talker, OnSocket)
        await talker.greeted()
        path = f"/api/v1/conversations/{talker.conversation_id}"
        async with asyncio.timeout(10):
            while not (greeting := await told(patient, path)):
                await asyncio.sleep(0.1)
        await asyncio.to_thread(speaking.stop_database, "immediate")
        await talker.say(QUESTION)
        await talker.answering()
        begun = time.monotonic()
        await asyncio.to_thread(speaking.end)
        took = time.monotonic() - begun
    assert log.read_text().count(NOT_RECORDED) == before + 1
    assert took < STOPPED_WITHIN
    await asyncio.to_thread(speaking.begin)
    made = {"session_id": talker.session_id}
    await ends(patient, made, within=45)
    assert shown(await told(patient, path))[:1] == shown(greeting)


async def test_what_is_written_when_an_agent_is_dead_comes_after_what_it_said(
    patient: Person, speaking: Installation
) -> None:
    """The session need not be given up for that."""
    async with call(patient, "room", pipeline="cascade") as talker:
        await talker.greeted()
        await talker.say(QUESTION)
        await talker.answering()
        await asyncio.sleep(4)
        assert speaking.up is not None
        (agent,) = agents(speaking.up.process.pid)
        os.killpg(agent, signal.SIGKILL)
        await asyncio.sleep(6)
        path = f"/api/v1/conversations/{talker.conversation_id}"
        assert (await patient.send(path, AGAIN)).status_code == 201
    kept = await told(patient, path)
    sides = ["assistant", "user", "assistant"]
    assert [one["role"] for one in kept] == [*sides, "user", "assistant"], shown(kept)
    assert kept[2]["status"] == "interrupted"
    assert "part 1" in kept[2]["content"]
    assert kept[3]["content"] == AGAIN
