"""Scores on messages written for these tests, apart from the examples of the rules."""

from pathlib import Path

import pytest
import yaml

from assistant import safety
from assistant.safety.verdict import Level

DATA = Path(__file__).parent / "data"
HELD = {"emergency": {Level.EMERGENCY}, "crisis": {Level.CRISIS, Level.EMERGENCY}}


MENDED = [
    DATA / "safety_vignettes_everyday.yaml",
    DATA / "safety_vignettes_signs_of_others.yaml",
    DATA / "safety_vignettes_plain.yaml",
    DATA / "safety_vignettes_signs.yaml",
    DATA / "safety_vignettes_warning.yaml",
    DATA / "safety_vignettes_wider.yaml",
]
"""Cases that were used for mending; each must hold, so they count in no share."""


def vignettes(kind: str) -> list[str]:
    sets = sorted(set(DATA.glob("safety_vignettes*.yaml")) - set(MENDED))
    assert sets
    return [text for one in sets for text in yaml.safe_load(one.read_text("utf-8"))[kind]]


def raised(kind: str, levels: set[Level]) -> list[str]:
    return [text for text in vignettes(kind) if safety.assess(text).level in levels]


@pytest.mark.parametrize(("kind", "least"), [("emergency", 0.98), ("crisis", 1.0)])
def test_dangers_are_recalled(kind: str, least: float) -> None:
    assert len(raised(kind, HELD[kind])) >= least * len(vignettes(kind))


def test_what_is_to_be_seen_today_is_not_left_for_later() -> None:
    soon = {Level.EMERGENCY, Level.CRISIS, Level.URGENT}
    assert len(raised("urgent", soon)) >= 0.95 * len(vignettes("urgent"))


def test_few_calm_messages_raise_an_alarm() -> None:
    calm = len(vignettes("calm"))
    assert len(raised("calm", {Level.EMERGENCY})) <= 0.05 * calm
    assert len(raised("calm", {Level.CRISIS})) <= 0.02 * calm


@pytest.mark.parametrize(
    ("kind", "levels"),
    [
        ("emergency", HELD["emergency"]),
        ("crisis", HELD["crisis"]),
        ("urgent", {Level.URGENT, Level.EMERGENCY, Level.CRISIS}),
        ("calm", {Level.NONE, Level.ROUTINE, Level.URGENT}),
    ],
)
def test_everyday_questions_stay_where_they_belong(kind: str, levels: set[Level]) -> None:
    everyday = [text for one in MENDED for text in yaml.safe_load(one.read_text("utf-8"))[kind]]
    assert everyday
    assert [text for text in everyday if safety.assess(text).level not in levels] == []
