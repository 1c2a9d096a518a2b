"""What a caller writes: each message through the gate as it comes, answered in its turn."""

import asyncio

import pytest
from calling import speech
from providers import Cloud, Open
from scripted_conversation import conversing
from talking import Conversation, Desk, Local, conversation, plan

from voice_service.agent import pace, phrases
from voice_service.agent.writing import Writing

CHEST_PAIN = "I have crushing chest pain and I cannot breathe"


async def _alarm(talk: Conversation, local: Local, words: str) -> str:
    """Fails unless these raise an alarm and are recorded so; answers by what rules."""
    await talk.until(lambda: any("9 9 9" in said for said in local.said), within=10)
    await talk.until(lambda: words in talk.desk.said("user"), within=30)
    turn = next(turn for turn in talk.desk.turns if turn.text == words)
    assert turn.triage is not None
    assert turn.triage["level"] == "emergency"
    return str(turn.triage["rules"])


async def test_whoever_writes_too_fast_waits(opened: Open, cloud: Cloud) -> None:
    async with conversation(await opened(), plan("cascade")) as talk:
        writing = [asyncio.create_task(talk.supervisor.say_typed(f"word {n}")) for n in range(60)]
        await talk.until(lambda: len(talk.desk.said("user")) >= pace.BURST)
        await asyncio.sleep(0.3)
        assert len(talk.desk.said("user")) <= pace.BURST + 1
        await talk.until(lambda: len(talk.desk.said("user")) >= pace.BURST + 2)
        kept = [task for task in writing if not task.done()]
        assert len(kept) < 30, "so many more would be heard for minutes"
        for task in kept:
            task.cancel()
    assert talk.desk.said("user") == [f"word {n}" for n in range(len(talk.desk.said("user")))]


async def test_whoever_writes_waits_for_no_turn(opened: Open, cloud: Cloud) -> None:
    async with conversation(await opened(), plan("cascade")) as talk:
        for place in range(12):
            assert await talk.supervisor.say_typed(f"word {place}")
        assert len(talk.desk.said("user")) < 12
        await talk.until(lambda: len(talk.desk.said("user")) == 12, within=30)
    assert talk.desk.said("user") == [f"word {place}" for place in range(12)]


async def test_what_waits_when_the_session_ends_is_recorded(opened: Open, cloud: Cloud) -> None:
    async with conversation(await opened(), plan("cascade")) as talk:
        saying = [talk.supervisor.say_typed(f"word {place}") for place in range(12)]
        typing = asyncio.gather(*saying)
        await talk.until(lambda: talk.desk.said("user"))
        await talk.supervisor.end("asked")
        await typing
    assert talk.desk.said("user") == [f"word {place}" for place in range(12)]


async def test_an_alarm_in_writing_waits_for_no_turn(opened: Open, local: Local) -> None:
    async with conversation(await opened(), plan("offline")) as talk:
        for _ in range(40):  # more than may wait
            await talk.supervisor.say_typed("word")
        assert await talk.supervisor.say_typed(CHEST_PAIN)
        await talk.until(lambda: CHEST_PAIN in talk.desk.said("user"), within=10)
        await talk.until(lambda: any("9 9 9" in said for said in local.said), within=10)
    turn = next(turn for turn in talk.desk.turns if turn.text == CHEST_PAIN)
    assert turn.triage is not None
    assert turn.triage["level"] == "emergency"


async def test_whoever_writes_far_too_fast_hears_so_once(opened: Open, local: Local) -> None:
    async with conversation(await opened(), plan("offline")) as talk:
        taken = [await talk.supervisor.say_typed("word") for _ in range(60)]
        assert taken.count(False) > 10
        await talk.until(lambda: phrases.TOO_FAST in talk.desk.said("assistant"), within=30)
    assert local.said.count(phrases.TOO_FAST.split(". ")[0] + ".") == 1


async def test_whoever_stops_waiting_for_a_message_has_taken_none() -> None:
    typing = pace.Pace()
    for place in range(pace.BURST + 2):
        assert typing.put(f"word {place}")
    for place in range(pace.BURST):
        assert await typing.next() == f"word {place}"
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(typing.next(), 0.05)
    assert await typing.next() == f"word {pace.BURST}"
    assert typing.waiting == (f"word {pace.BURST + 1}",)


async def test_an_alarm_that_takes_two_messages_waits_for_no_turn(
    opened: Open, local: Local
) -> None:
    async with conversation(await opened(), plan("offline")) as talk:
        while await talk.supervisor.say_typed("word"):
            pass
        while not await talk.supervisor.say_typed("My baby is 2 months old"):
            await asyncio.sleep(0.1)
        assert "My baby is 2 months old" not in talk.desk.said("user")
        assert await talk.supervisor.say_typed("He has a fever")
        await _alarm(talk, local, "He has a fever")


async def test_what_was_written_during_an_alarm_counts_for_the_next(
    opened: Open, local: Local
) -> None:
    async with conversation(await opened(), plan("offline")) as talk:
        await talk.supervisor.say_typed(CHEST_PAIN)
        await talk.speaking()
        await talk.supervisor.say_typed("My baby is 2 months old")
        await asyncio.sleep(0.5)  # it is taken, and has no number before the alarm is over
        await talk.supervisor.say_typed("He has a fever")
        assert talk.desk.said("user") == [CHEST_PAIN]
        assert "infant.fever" in await _alarm(talk, local, "He has a fever")


async def test_an_alarm_in_writing_before_the_session_speaks_is_said_once_it_does(
    opened: Open, local: Local
) -> None:
    async with conversation(await opened(), plan("offline"), starts=False) as talk:
        assert await talk.supervisor.say_typed(CHEST_PAIN)
        await talk.supervisor.start()
        await _alarm(talk, local, CHEST_PAIN)


async def test_what_is_written_while_the_session_ends_is_recorded(
    opened: Open, local: Local
) -> None:
    local.hears[:], local.takes[:] = ["what helps against a cold"], [1.5]
    async with conversation(await opened(), plan("offline")) as talk:
        talk.line.say(await asyncio.to_thread(speech, "What helps against a cold?", "slt"))
        await talk.until(lambda: not talk.line.speaking, within=20)
        ending = asyncio.create_task(talk.supervisor.end("asked"))
        await asyncio.sleep(0.1)
        assert await talk.supervisor.say_typed(CHEST_PAIN)
        await ending
    turn = talk.desk.turns[-1]
    assert (turn.text, turn.triage and turn.triage["level"]) == (CHEST_PAIN, "emergency")


async def test_a_session_that_closes_by_itself_ends_no_task_by_an_error(
    opened: Open, cloud: Cloud
) -> None:
    desk = Desk()
    async with conversing(await opened(), desk) as held:
        writing = Writing(held)
        for place in range(12):
            assert await writing.say(f"word {place}")
        answering = asyncio.create_task(writing.answer())
        async with asyncio.timeout(10):
            while not desk.turns:
                await asyncio.sleep(0.02)
    await asyncio.wait_for(answering, 20)


async def test_a_session_that_ends_before_it_has_started_leaves_no_work(
    opened: Open, local: Local
) -> None:
    async with conversation(await opened(), plan("offline"), starts=False) as talk:
        starting = asyncio.create_task(talk.supervisor.start())
        await asyncio.sleep(0)
        await talk.supervisor.end("asked")
        await asyncio.gather(starting, return_exceptions=True)
        asked = len(talk.desk.cursors)
        await asyncio.sleep(0.5)
        assert len(talk.desk.cursors) == asked == 0
