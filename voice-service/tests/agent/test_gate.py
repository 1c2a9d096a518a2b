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
