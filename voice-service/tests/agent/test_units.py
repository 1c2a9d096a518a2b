"""The small parts: words for the ear, what kind of words, the ledger, the gate's memory."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import pytest
from talking import Desk

from assistant.safety import Assessment, Fired, Level
from assistant.turns import Citation, Turn
from contracts.voice import SpokenTurn
from voice_service.agent import listening, wording
from voice_service.agent.gate import AGAIN_AFTER, Gate
from voice_service.agent.ledger import Ledger, Said

START = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("Take 400 mg [1][2] with food.", "Take 400 milligrams with food."),
        ("**Rest** and `drink`.", "Rest and drink."),
        ("- one\n- two", "one\ntwo"),
        ("See [the NHS](https://nhs.uk/x) now.", "See the NHS now."),
        ("A fever is 38 °C.", "A fever is 38 degrees Celsius."),
        ("Every 4-6 hours.", "Every 4 to 6 hours."),
        ("Call 999 now.", "Call 9 9 9 now."),
    ],
)
def test_words_for_the_ear(text: str, said: str) -> None:
    assert wording.spoken(text) == said


def test_sentences_come_as_soon_as_they_are_whole() -> None:
    sentences = wording.Sentences()
    given = [found for piece in ("Rest. Dri", "nk, says Dr. ", "Lee. Sleep") for found in
             sentences.feed(piece)]  # fmt: skip
    assert [*given, *sentences.end()] == ["Rest.", "Drink, says Dr. Lee.", "Sleep"]


def test_a_marker_in_two_halves_is_not_spoken() -> None:
    plain = wording.Plain()
    assert plain.feed("Rest [") + plain.feed("1") + plain.feed("] now") + plain.end() == "Rest now"


def test_the_source_is_named_unless_the_words_did() -> None:
    cited = [Citation(1, "a", "Colds", "NHS", "https://nhs.uk", "Rest.", 1.0)]
    assert wording.attribution("Rest.", cited) == " That is according to NHS."
    assert wording.attribution("According to the NHS, rest.", cited) == ""
    assert wording.attribution("Rest.", []) == ""


@pytest.mark.parametrize("text", ["Hmm.", "okay", "Yeah, yeah.", "uh-huh", "Right, I see."])
def test_a_back_channel(text: str) -> None:
    assert listening.backchannel(text)


@pytest.mark.parametrize("text", ["stop", "no", "okay stop", "wait", "yes I have a fever", ""])
def test_no_back_channel(text: str) -> None:
    assert not listening.backchannel(text)


@pytest.mark.parametrize(
    "text",
    ["yes", "Yes, please.", "Oh yes, that's right.", "Right.", "yeah yeah", "I did.",
     "That’s correct, thank you."],
)  # fmt: skip
def test_a_plain_yes(text: str) -> None:
    assert listening.agrees(text)
    assert not listening.agrees_and_more(text)
    assert not listening.denies(text)


@pytest.mark.parametrize(
    ("text", "more"),
    [
        ("I did not", False),
        ("I did not say that", False),
        ("Right knee, not left", False),
        ("Yes and I have taken forty paracetamol", True),
        ("That's right, and my arm hurts", True),
        ("Right, but it is worse now", True),
        ("no", False),
        ("", False),
    ],
)
def test_no_plain_yes(text: str, more: bool) -> None:
    assert not listening.agrees(text)
    assert listening.agrees_and_more(text) is more


@pytest.mark.parametrize(
    "text",
    ["my number is", "oh seven seven", "07700 900", "the twenty third of", "my name is",
     "I live at", "s m i", "on the 5th of march"],
)  # fmt: skip
def test_somebody_is_in_the_middle_of_giving_something(text: str) -> None:
    assert listening.in_the_middle(text, "")


@pytest.mark.parametrize("text", ["I have a headache.", "what helps against a cold", "yes please"])
def test_somebody_is_done(text: str) -> None:
    assert not listening.in_the_middle(text, "")


def test_whoever_was_asked_for_a_name_is_given_time() -> None:
    assert listening.in_the_middle("Jane", "Can you spell your name for me?")


async def test_turns_are_numbered_as_they_begin_and_those_without_words_are_not() -> None:
    desk, told = Desk(), list[SpokenTurn]()
    ledger = Ledger(desk, next_seq=4, told=told.append)
    first = ledger.begin(Said("user", START, text="hello"))
    second = ledger.begin(Said("assistant", START + timedelta(seconds=2), text="hi"))
    empty = ledger.begin(Said("assistant", START + timedelta(seconds=1)))
    ledger.settle(second, START + timedelta(seconds=3))
    ledger.settle(empty, START + timedelta(seconds=3))
    assert told == []
    ledger.settle(first, START + timedelta(seconds=4))
    ledger.close(START + timedelta(seconds=5))
    await ledger.run()
    assert [(turn.seq, turn.text) for turn in desk.turns] == [(4, "hello"), (5, "hi")]


async def test_what_is_open_at_the_end_is_recorded() -> None:
    desk = Desk()
    ledger = Ledger(desk, next_seq=1, told=lambda _: None)
    ledger.begin(Said("user", START, text="I was about to say"))
    ledger.close(START + timedelta(seconds=1))
    await ledger.run()
    assert desk.said() == ["I was about to say"]


def _alarm(text: str, _: Sequence[Turn], __: str) -> Assessment:
    if "pain" not in text:
        return Assessment(Level.NONE, (), None, ())
    return Assessment(Level.EMERGENCY, (Fired("heart.pain", ()),), "Call 999 now.", ())


def test_words_that_are_still_coming_must_stand_for_a_moment() -> None:
    gate = Gate("en-GB", list, assess=_alarm)
    assert gate.partly("I have chest pain") is None
    assert gate.partly("I have chest pain") is None
    verdict = gate.partly("I have chest pain and")
    assert verdict is not None
    assert gate.news(verdict) == "Call 999 now."


def test_what_was_said_before_never_lowers_an_alarm() -> None:
    before = [Turn("user", "What helps against a cold")]
    assert Gate("en-GB", lambda: before).whole("I have chest pain").level is Level.EMERGENCY


def test_the_same_rule_is_spoken_of_again_only_after_a_while() -> None:
    now = [0.0]
    gate = Gate("en-GB", list, assess=_alarm, clock=lambda: now[0])
    verdict = gate.whole("chest pain")
    assert gate.news(verdict) == "Call 999 now."
    now[0] += AGAIN_AFTER - 1
    assert gate.news(verdict) is None
    now[0] += AGAIN_AFTER + 1
    assert gate.news(verdict) == "Call 999 now."
