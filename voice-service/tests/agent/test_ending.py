"""What is left of a session that has ended: nothing."""

import asyncio

import pytest
from calling import speech
from providers import Cloud, Open
from talking import Desk, Local, conversation, plan

from contracts.voice import Changes, SpokenTurn
from kit import background
from voice_service.agent import phrases
from voice_service.agent.rhythm import TOO_QUIET


class _Failing(Desk):
    """Its connection fails in the very moment in which whoever asks is cancelled."""

    def __init__(self) -> None:
        super().__init__()
        self.asked = 0

    async def changes(self, cursor: str) -> Changes:
        self.asked += 1
        try:
            return await super().changes(cursor)
        except asyncio.CancelledError:
            if self.asked > 1:
                raise
            raise ConnectionResetError from None


async def test_nothing_goes_on_after_the_end(opened: Open, cloud: Cloud) -> None:
    resources, desk = await opened(), _Failing()
    async with conversation(resources, plan("cascade"), desk) as talk:
        await talk.until(lambda: desk.asked)
        await talk.supervisor.end("asked")
        assert desk.beats[-1].ended == "asked"
        await asyncio.sleep(background.CANCELLED_AFTER + 1.0)
    assert desk.asked == 1
    assert desk.beats[-1].ended == "asked"


async def test_nothing_passes_the_time_after_the_end(opened: Open, local: Local) -> None:
    failed: list[str] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, one: failed.append(one["message"]))
    local.hears, local.takes = ["what helps against a cold"], [12.0]
    async with conversation(await opened(), plan("offline")) as talk:
        await talk.say("what helps against a cold")
        await talk.until(lambda: any(filler in local.said for filler in phrases.FILLERS))
        await talk.supervisor.end("asked")
        await asyncio.sleep(TOO_QUIET + 1.5)
    assert failed == []


class _Away(Desk):
    """Takes a turn only once it is back."""

    def __init__(self) -> None:
        super().__init__()
        self.back = asyncio.Event()

    async def record(self, turn: SpokenTurn) -> None:
        await self.back.wait()
        await super().record(turn)


async def test_an_emergency_is_recorded_as_one_although_its_caller_hangs_up_over_the_alarm(
    opened: Open, local: Local
) -> None:
    local.hears[:] = ["I have crushing chest pain and I cannot breathe"]
    async with conversation(await opened(), plan("offline")) as talk:
        await talk.say(local.hears[0])
        await talk.speaking()
        await talk.rest(0.5)
        await talk.supervisor.end("caller_left")
    turn = talk.desk.turns[0]
    assert turn.role == "user"
    assert turn.triage is not None
    assert turn.triage["level"] == "emergency"


async def test_an_emergency_is_recorded_although_its_caller_hangs_up_in_mid_sentence(
    opened: Open, local: Local
) -> None:
    words = "I have crushing chest pain and I cannot breathe"
    local.hears[:], local.ponders = [words], 30.0
    async with conversation(await opened(), plan("offline")) as talk:
        talk.line.say(await asyncio.to_thread(speech, f"{words} {words}", "slt"))
        await talk.speaking()
        assert talk.line.speaking
        talk.line.hang_up()
        await talk.supervisor.end("caller_left")
    turn = talk.desk.turns[0]
    assert turn.role == "user"
    assert turn.text.startswith("I have crushing chest pain")
    assert turn.triage is not None
    assert turn.triage["level"] == "emergency"


@pytest.mark.parametrize(("within", "kept"), [(20.0, True), (0.1, False)])
async def test_the_last_turns_wait_for_a_service_that_is_away(
    opened: Open, cloud: Cloud, within: float, kept: bool
) -> None:
    resources, desk = await opened(), _Away()
    async with conversation(resources, plan("cascade"), desk, records_within=within) as talk:
        await talk.supervisor.say_typed("What helps against a cold?")
        ending = asyncio.create_task(talk.supervisor.end("asked"))
        done, _ = await asyncio.wait((ending,), timeout=4.0)
        assert bool(done) is not kept
        desk.back.set()
        await ending
    assert ("What helps against a cold?" in desk.said("user")) is kept
