"""Words that are not sure are asked about; dates and drugs are said back."""

import asyncio

import pytest
from providers import Cloud, Open
from scripted_conversation import conversing, hear, take_up
from talking import Desk, Local, conversation, plan

from assistant.safety import Level
from contracts.voice import SpokenTurn
from voice_service.agent import phrases
from voice_service.agent.doubts import Doubts
from voice_service.agent.parts import Heard


def _question(doubts: Doubts, heard: Heard, level: Level = Level.NONE) -> str | None:
    doubts.heard(heard)
    return doubts.question(heard.text, level)


async def test_drugs_that_were_heard_begin_the_answer(
    opened: Open, cloud: Cloud, local: Local
) -> None:
    local.hears[:] = ["what helps against a cold besides ibuprofen"]
    local.tells[:] = [{"read_back": ["ibuprofen"]}]
    resources = await opened()
    async with conversation(resources, plan("offline")) as talk:
        await talk.say("what helps against a cold besides ibuprofen")
        turns = await talk.turns(2, within=30)
    assert turns[1].text.startswith("I heard: ibuprofen. ")
    assert turns[1].citations


async def test_an_alarm_that_may_have_been_said_is_asked_about_and_then_acted_on(
    opened: Open, cloud: Cloud, local: Local
) -> None:
    local.hears[:] = ["I have just plain", "yes"]
    local.sure[:] = [0.6, 0.9]
    local.tells[:] = [{"keyphrases": ["chest pain"]}]
    resources = await opened()
    async with conversation(resources, plan("offline")) as talk:
        await talk.say("I have just plain")
        await talk.turns(2)
        await talk.say("yes that is right")
        turns = await talk.turns(4, within=30)
    assert turns[1].text == phrases.DID_YOU_SAY.format(words="chest pain")
    assert turns[2].text == "yes"
    assert turns[2].triage is not None
    assert "911" in turns[3].text or "999" in turns[3].text or "112" in turns[3].text


@pytest.mark.parametrize(("sure", "asked"), [(0.9, False), (0.6, True), (0.2, True)])
def test_a_second_ear_counts_only_where_the_first_is_not_certain(sure: float, asked: bool) -> None:
    heard = Heard("what causes ringing", sure, alarming=("unconscious",))
    question = _question(Doubts(), heard)
    assert question == (phrases.DID_YOU_SAY.format(words="unconscious") if asked else None)


@pytest.mark.parametrize("level", [Level.URGENT, Level.EMERGENCY, Level.CRISIS])
def test_nothing_is_asked_where_the_gate_has_spoken(level: Level) -> None:
    doubtful = Heard("chest pain", 0.1, ("two tablets",), ("can't breathe",))
    assert _question(Doubts(), doubtful, level) is None


def test_the_least_sure_stretch_of_a_turn_decides() -> None:
    doubts = Doubts()
    doubts.heard(Heard("I have a cough", 0.9))
    doubts.heard(Heard("and a fever", 0.2))
    asked = doubts.question("I have a cough and a fever", Level.NONE)
    assert asked == phrases.DID_YOU_SAY.format(words="I have a cough and a fever")
    assert doubts.meant("yes please") == "I have a cough and a fever"
    assert _question(doubts, Heard("yes please", 0.1)) is None
    assert doubts.meant("yes please") == "yes please"


def test_words_that_are_denied_are_asked_for_again() -> None:
    doubts = Doubts()
    _question(doubts, Heard("take to eye", 0.1))
    assert _question(doubts, Heard("no", 0.9)) == phrases.SAY_IT_AGAIN
    assert _question(doubts, Heard("take two ibuprofen", 0.9, ("two ibuprofen",))) is None
    assert doubts.said_back == "I heard: two ibuprofen."
    assert _question(doubts, Heard("thank you", 0.9)) is None
    assert doubts.said_back == ""


def test_what_hears_without_telling_how_sure_it_is_is_believed() -> None:
    assert _question(Doubts(), Heard("what helps against a cold")) is None


FORTY = "yes and I have taken forty paracetamol tablets"
SUNBURN = "what helps against sunburn"


@pytest.mark.parametrize(
    ("answer", "meant"),
    [
        ("yes", SUNBURN),
        ("yes and my arm hurts", f"{SUNBURN}. yes and my arm hurts"),
        ("I did not say that", "I did not say that"),
        ("right knee, not left", "right knee, not left"),
        ("what about a cold", "what about a cold"),
    ],
)
def test_an_answer_takes_the_place_of_what_was_doubted_only_where_it_is_a_mere_yes(
    answer: str, meant: str
) -> None:
    doubts = Doubts()
    _question(doubts, Heard(SUNBURN, 0.1))
    assert doubts.meant(answer) == meant


def test_i_did_not_is_a_no() -> None:
    doubts = Doubts()
    _question(doubts, Heard(SUNBURN, 0.1))
    assert _question(doubts, Heard("I did not", 0.9)) == phrases.SAY_IT_AGAIN


async def _answered(opened: Open, local: Local, addition: str) -> list[SpokenTurn]:
    """What was recorded after a doubted question, and a yes with more."""
    local.hears[:] = [SUNBURN, addition]
    local.sure[:] = [0.2, 0.9]
    async with conversation(await opened(), plan("offline")) as talk:
        await talk.say(SUNBURN)
        await talk.turns(2)
        await talk.quiet()
        await talk.say(addition)
        return await talk.turns(4, within=30)


async def test_what_is_added_to_a_yes_is_triaged(opened: Open, local: Local) -> None:
    turns = await _answered(opened, local, "yes and I have taken forty paracetamol tablets")
    assert turns[2].triage is not None
    assert turns[2].triage["level"] == "emergency"
    assert "999" in turns[3].text


async def test_what_is_urgent_in_an_addition_begins_the_answer(opened: Open, local: Local) -> None:
    turns = await _answered(opened, local, "yes and I have blood in my urine")
    assert turns[2].triage is not None
    assert turns[2].triage["level"] == "urgent"
    assert turns[3].text.startswith(str(turns[2].triage["message"]))


@pytest.mark.parametrize(
    ("written", "answered"), [("What about a cold?", "What about a cold?"), ("Yes.", SUNBURN)]
)
async def test_what_comes_in_writing_ends_the_doubt(
    opened: Open, cloud: Cloud, written: str, answered: str
) -> None:
    desk = Desk()
    async with conversing(await opened(), desk) as held:
        await hear(held, SUNBURN, 0.2)
        await take_up(held)
        await _said(desk, 2)
        held.typed(written)
        await _said(desk, 4)
        await hear(held, "yes")
        await take_up(held)
        await _said(desk, 6)
    asked = [each["messages"][-1]["content"] for each in cloud.model.requests]
    assert asked[0].startswith(f"{answered}\n")
    assert asked[1].startswith("yes\n")


async def _said(desk: Desk, count: int) -> None:
    async with asyncio.timeout(20):
        while len(desk.turns) < count:
            await asyncio.sleep(0.02)
