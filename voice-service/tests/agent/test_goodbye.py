"""What is said over a goodbye is heard like anything else."""

from datetime import UTC, datetime, timedelta

import pytest
from providers import Open
from talking import Local, conversation, plan

CHEST_PAIN = "I have crushing chest pain and I cannot breathe"
WORST = "I am pregnant and bleeding heavily and I want to kill myself"


@pytest.mark.parametrize(
    "said", [pytest.param("what helps against a cold", marks=pytest.mark.long), CHEST_PAIN]
)
async def test_whoever_speaks_over_the_goodbye_is_still_there(
    opened: Open, local: Local, said: str
) -> None:
    local.hears = [said]
    resources = await opened(voice_timeout=3.0)
    async with conversation(resources, plan("offline")) as talk:
        await talk.until(lambda: any("goodbye" in each for each in local.said))
        await talk.say(said)
        await talk.until(lambda: said in talk.desk.said("user"), within=30)
        place = talk.desk.said().index(said)
        turns = await talk.turns(place + 2, within=30)
        assert all(beat.ended is None for beat in talk.desk.beats)
    assert turns[place + 1].role == "assistant"
    assert not turns[place + 1].interrupted
    assert ("999" in turns[place + 1].text) is (said == CHEST_PAIN)


@pytest.mark.long
async def test_an_alarm_over_the_last_goodbye_is_given_before_the_end(
    opened: Open, local: Local
) -> None:
    local.hears = [CHEST_PAIN]
    resources = await opened()
    soon = datetime.now(UTC) + timedelta(seconds=3)
    async with conversation(resources, plan("offline", ends_at=soon)) as talk:
        await talk.until(lambda: any("time is up" in each for each in local.said))
        await talk.say(CHEST_PAIN)
        assert await talk.supervisor.closed() == "too_long"
        alarm = next(turn for turn in talk.desk.turns if "999" in turn.text)
    assert not alarm.interrupted


@pytest.mark.long
async def test_the_longest_alarm_is_given_whole(opened: Open, local: Local) -> None:
    resources = await opened()
    soon = datetime.now(UTC) + timedelta(seconds=1)
    async with conversation(resources, plan("offline", ends_at=soon)) as talk:
        await talk.until(lambda: any("time is up" in each for each in local.said))
        await talk.supervisor.say_typed(WORST)
        assert await talk.supervisor.closed() == "too_long"
        alarm = next(turn for turn in talk.desk.turns if "999" in turn.text)
    assert not alarm.interrupted
    assert len(alarm.text.split()) > 100
