"""Sentences as people say them. The shares of the second half are floors as measured, no goals."""

from pathlib import Path

import pytest
import yaml

from assistant import safety
from assistant.safety.verdict import Level

SAID = yaml.safe_load((Path(__file__).parent / "data" / "safety_spoken.yaml").read_text("utf-8"))
DANGER = {Level.EMERGENCY, Level.CRISIS}
FITTING = {
    "emergency": DANGER,
    "crisis": DANGER,
    "urgent": {*DANGER, Level.URGENT},
    "calm": {Level.URGENT, Level.ROUTINE, Level.NONE},
}


def misjudged(half: str, kind: str) -> list[str]:
    return [text for text in SAID[half][kind] if safety.assess(text).level not in FITTING[kind]]


@pytest.mark.parametrize("kind", FITTING)
def test_what_the_rules_were_mended_on_holds(kind: str) -> None:
    assert SAID["mended"][kind]
    assert misjudged("mended", kind) == []


@pytest.mark.parametrize(
    ("kind", "most"), [("emergency", 0.06), ("crisis", 0.0), ("urgent", 0.27), ("calm", 0.14)]
)
def test_what_was_held_back_is_judged_as_well_as_measured(kind: str, most: float) -> None:
    wrong = misjudged("held_back", kind)
    assert len(wrong) <= most * len(SAID["held_back"][kind]), wrong
