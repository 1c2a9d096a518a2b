"""The gate in speech: what was said is not said again, and what is worse or new is said."""

import pytest

from assistant.safety import Level
from voice_service.agent.gate import Gate

CHEST = "I have crushing chest pain"
BREATH = "I have crushing chest pain and I cannot breathe"
DYING = "I want to kill myself"
PILLS = "I want to kill myself and I have taken forty paracetamol"


@pytest.mark.parametrize(
    ("first", "then", "names"),
    [
        (CHEST, f"{CHEST} and {DYING}", "Samaritans"),
        (DYING, PILLS, "999"),
        (CHEST, DYING, "Samaritans"),
    ],
)
def test_what_is_worse_or_of_another_kind_is_said(first: str, then: str, names: str) -> None:
    gate = Gate("en-GB", list)
    assert gate.news(gate.whole(first)) is not None
    later = gate.whole(then)
    said = gate.news(later)
    assert said is not None
    assert names in said
    assert gate.news(later) is None


def test_what_was_said_a_moment_ago_is_not_said_again_with_what_is_new() -> None:
    gate = Gate("en-GB", list)
    first = gate.news(gate.whole(CHEST))
    then = gate.news(gate.whole(f"{CHEST} and {DYING}"))
    assert first is not None
    assert then is not None
    assert "Unlock the door." in first
    assert "Unlock the door." not in then
    assert "Are you safe at this moment?" in then
    assert len(first) + len(then) == len(gate.whole(f"{CHEST} and {DYING}").message or "") - 1


def test_of_a_long_turn_the_last_words_count_while_they_come_and_all_of_them_at_the_end() -> None:
    gate = Gate("en-GB", list)
    chatter = "and then we went home again " * 300
    gate.partly(f"{DYING} {chatter}")
    assert gate.partly(f"{DYING} {chatter} again") is None
    assert gate.whole(f"{DYING} {chatter}").level is Level.CRISIS
    gate.partly(f"{chatter} {CHEST}")
    assert gate.partly(f"{chatter} {CHEST} now") is not None


def test_another_emergency_is_told_in_full() -> None:
    gate = Gate("en-GB", list)
    assert gate.news(gate.whole(CHEST)) is not None
    bleeding = gate.news(gate.whole("my leg is bleeding and it will not stop"))
    assert bleeding is not None
    assert "999" in bleeding


def test_words_that_go_on_bring_no_second_alarm() -> None:
    gate = Gate("en-GB", list)
    assert gate.news(gate.whole(CHEST)) is not None
    more = gate.whole(BREATH)
    assert more.level is Level.EMERGENCY
    assert gate.news(more) is None


@pytest.mark.parametrize(("locale", "number"), [("en-GB", "999"), ("en-US", "911")])
def test_an_alarm_names_the_number_of_the_place(locale: str, number: str) -> None:
    gate = Gate(locale, list)
    said = gate.news(gate.whole(CHEST))
    assert said is not None
    assert number in said
