"""Sentences as people say them. What may be misjudged is what was measured, and no goal."""

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
MISJUDGED = {
    "mended": {"emergency": 0, "crisis": 0, "urgent": 0, "calm": 0},
    "held_back": {"emergency": 2, "crisis": 0, "urgent": 3, "calm": 4},
    "second": {"emergency": 1, "crisis": 2, "urgent": 1, "calm": 3},
    "third": {"emergency": 1, "crisis": 0, "urgent": 1, "calm": 0},
}


@pytest.mark.parametrize("kind", FITTING)
@pytest.mark.parametrize("part", MISJUDGED)
def test_spoken_sentences_are_judged_as_well_as_measured(part: str, kind: str) -> None:
    said = SAID[part][kind]
    assert said
    wrong = [text for text in said if safety.assess(text).level not in FITTING[kind]]
    assert len(wrong) <= MISJUDGED[part][kind], wrong
