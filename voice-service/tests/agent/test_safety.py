"""The safety gate in speech."""

import pytest
import voice_parts
from model_server import CallTool, Hang, ModelServer
from providers import Cloud, Open
from talking import Conversation, Local, conversation, plan

from contracts.voice import Pipeline

CHEST_PAIN = "I have crushing chest pain and I cannot breathe"
LONG = " ".join(["A cold passes by itself and rest helps a great deal."] * 6)
QUICK = 0.3 + 0.15
"""Seconds from the transcript to the first sound: what is promised, and what a loaded machine
takes beyond it."""


def _hear(cloud: Cloud, local: Local, *lines: str) -> None:
    for hearing in (cloud.realtime, cloud.speech, local):
        hearing.hears = list(lines)


def _alarm(talk: Conversation) -> list[str]:
    return [turn.text for turn in talk.desk.turns if "999" in turn.text]


@pytest.mark.parametrize(
    "pipeline",
    [
        "realtime",
        pytest.param("cascade", marks=pytest.mark.long),
        pytest.param("offline", marks=pytest.mark.long),
    ],
)
async def test_an_emergency_gets_its_words_first_in_every_pipeline(
    opened: Open, cloud: Cloud, local: Local, pipeline: Pipeline
) -> None:
    _hear(cloud, local, CHEST_PAIN)
    resources = await opened()
    async with conversation(resources, plan(pipeline)) as talk:
        await talk.say(CHEST_PAIN)
        turns = await talk.turns(3, within=40)
    assert [turn.role for turn in turns[:3]] == ["user", "assistant", "assistant"]
    assert turns[0].triage is not None
    assert turns[0].triage["level"] == "emergency"
    assert "999" in turns[1].text
    assert not turns[1].interrupted
    assert cloud.realtime.faults == []


@pytest.mark.long
async def test_no_response_is_asked_for_before_the_gate(
    opened: Open, cloud: Cloud, local: Local
) -> None:
    _hear(cloud, local, CHEST_PAIN)
    resources = await opened()
    async with conversation(resources, plan("realtime")) as talk:
        await talk.say(CHEST_PAIN)
        await talk.speaking()
        before = list(cloud.realtime.responses)
        await talk.turns(3, within=40)
    assert before == []
    assert "instructions" in cloud.realtime.responses[0]


async def test_an_emergency_cuts_off_what_the_agent_says(
    opened: Open, cloud: Cloud, local: Local
) -> None:
    _hear(cloud, local, "what helps against a cold", CHEST_PAIN)
    cloud.realtime.says = [LONG]
    resources = await opened()
    async with conversation(resources, plan("realtime")) as talk:
        await talk.say("what helps against a cold")
        await talk.speaking()
        await talk.say(CHEST_PAIN)
        await talk.until(lambda: _alarm(talk), within=40)
        turns = talk.desk.turns
    assert turns[1].interrupted
    assert len(turns[1].text) < len(LONG)
    assert [turn.role for turn in turns[:4]] == ["user", "assistant", "user", "assistant"]


@pytest.mark.long
async def test_an_emergency_over_the_greeting_is_heard(
    opened: Open, cloud: Cloud, local: Local
) -> None:
    _hear(cloud, local, CHEST_PAIN)
    resources = await opened()
    async with conversation(resources, plan("cascade", greeted=False)) as talk:
        await talk.speaking()
        await talk.say(CHEST_PAIN)
        await talk.until(lambda: _alarm(talk), within=40)
        turns = talk.desk.turns
    assert turns[0].interrupted
    assert turns[1].text == CHEST_PAIN


async def test_words_over_safety_speech_are_kept_and_do_not_stop_it(
    opened: Open, cloud: Cloud, local: Local
) -> None:
    after = "it goes into my left arm"
    _hear(cloud, local, CHEST_PAIN, after)
    resources = await opened()
    async with conversation(resources, plan("cascade")) as talk:
        await talk.say(CHEST_PAIN)
        await talk.speaking()
        await talk.say(after)
        await talk.until(lambda: after in " ".join(talk.desk.said("user")), within=60)
        turns = talk.desk.turns
    alarm = next(turn for turn in turns if "999" in turn.text)
    assert not alarm.interrupted
    assert voice_parts.words_begun(talk.ear.replies[0]) >= len(alarm.text.split())


@pytest.mark.long
async def test_the_same_alarm_is_not_said_again_at_once(
    opened: Open, cloud: Cloud, local: Local
) -> None:
    _hear(cloud, local, CHEST_PAIN, CHEST_PAIN)
    resources = await opened()
    async with conversation(resources, plan("offline")) as talk:
        await talk.say(CHEST_PAIN)
        await talk.turns(3, within=40)
        await talk.quiet()
        await talk.say(CHEST_PAIN)
        turns = await talk.turns(5, within=40)
    assert len(_alarm(talk)) == 1
    assert turns[-1].role == "assistant"


async def test_advice_that_was_cut_off_begins_the_next_answer_and_is_said_once(
    opened: Open, local: Local
) -> None:
    advice = "This should be looked at today."
    resources = await opened()
    async with conversation(resources, plan("offline")) as talk:
        await talk.supervisor.say_typed("I have had blood in my urine since yesterday")
        await talk.rest(0.05)
        await talk.supervisor.say_typed("What is the common cold?")
        answered = await talk.until(lambda: _whole(talk), within=60)
        await talk.supervisor.say_typed("What should I do about the blood in my urine?")
        await talk.until(lambda: len(talk.desk.said("assistant")) > len(answered), within=60)
    told = [text for text in talk.desk.said("assistant") if text.startswith(advice)]
    assert told == [answered[-1]]


async def test_advice_that_was_cut_off_waits_while_an_emergency_is_spoken_of_again(
    opened: Open, cloud: Cloud
) -> None:
    advice = "This should be looked at today."
    async with conversation(await opened(), plan("cascade")) as talk:
        await talk.supervisor.say_typed(CHEST_PAIN)
        await talk.speaking()
        await talk.supervisor.say_typed("I have had blood in my urine since yesterday")
        await talk.supervisor.say_typed("My chest pain is still crushing")
        turns = await talk.turns(5, within=40)
        assert len(_alarm(talk)) == 1
        assert advice not in turns[-1].text
        await talk.supervisor.say_typed("What is the common cold?")
        turns = await talk.turns(7, within=40)
    assert turns[-1].text.startswith(advice)


def _whole(talk: Conversation) -> list[str]:
    """What the agent said, once it could say something to its end."""
    turns = [turn for turn in talk.desk.turns if turn.role == "assistant"]
    return [turn.text for turn in turns] if turns and not turns[-1].interrupted else []


async def test_safety_speech_begins_at_once(opened: Open, cloud: Cloud, local: Local) -> None:
    _hear(cloud, local, CHEST_PAIN)
    cloud.speech.speaking = "hangs"
    resources = await opened()
    async with conversation(resources, plan("cascade")) as talk:
        await talk.say(CHEST_PAIN)
        await talk.until(lambda: talk.shown_at("user"))
        transcript = talk.shown_at("user")[0]
        await talk.speaking()
        assert talk.ear.played[0][0] - transcript < QUICK


async def test_an_emergency_during_a_tool_call_gets_its_words(
    opened: Open, cloud: Cloud, local: Local
) -> None:
    _hear(cloud, local, "what helps against a cold", CHEST_PAIN)
    cloud.model = ModelServer([[CallTool("search_library", {"query": "a cold"})], [Hang()]])
    resources = await opened(voice_first_token_seconds=30)
    async with conversation(resources, plan("cascade")) as talk:
        await talk.say("what helps against a cold")
        await talk.until(lambda: len(cloud.model.requests) == 2)
        await talk.say(CHEST_PAIN)
        await talk.until(lambda: _alarm(talk), within=40)
        turns = talk.desk.turns
    alarm = next(turn for turn in turns if "999" in turn.text)
    assert not alarm.interrupted
    assert [turn.text for turn in turns if turn.role == "user"][1] == CHEST_PAIN
