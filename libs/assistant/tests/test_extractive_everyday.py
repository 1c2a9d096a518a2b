"""What people type, kept from readings by fresh eyes: the page, and what is said first."""

from pathlib import Path
from types import SimpleNamespace

import pytest

from assistant.extractive import Composer, open_composer
from assistant.knowledge import cards, encoder
from assistant.turns import Turn

LIBRARY = Path(__file__).parents[3] / "library"
TABLE = Path(__file__).parent / "data" / "everyday_questions.tsv"
ROWS = [
    tuple(line.split("\t"))
    for line in TABLE.read_text(encoding="utf-8").splitlines()
    if line and not line.startswith("#")
]
STORY = "last week we went for a long walk and then to the pub with my sister and it was fine, "


@pytest.fixture(scope="module")
def composer() -> Composer:
    found = {card.id: card for card in cards.load(LIBRARY)}
    return open_composer(SimpleNamespace(cards=found, encoder=encoder.WordLlama()))


@pytest.mark.parametrize(("asked", "topic", "fact"), ROWS)
def test_the_first_paragraphs_answer(composer: Composer, asked: str, topic: str, fact: str) -> None:
    history: list[Turn] = []
    for question in asked.split(" || "):
        answer = composer.answer(question, history)
        history += [Turn("user", question), Turn("assistant", answer.text)]
    assert topic in ("-", answer.topic or "none")
    assert answer.declined is (topic == "none")
    opening = " ".join(answer.text.split("When to get help:")[0].split()[:60])
    assert fact.lower() in opening.lower()


@pytest.mark.parametrize("stories", [3, 40])
def test_the_point_of_a_long_story_is_heard(composer: Composer, stories: int) -> None:
    answer = composer.answer(STORY * stories + "and now i have a sore throat, what can i do")
    assert answer.topic == "sore-throat"


def test_a_medicine_that_is_ruled_out_is_not_advised(composer: Composer) -> None:
    text = composer.answer("what helps gout if i cannot take ibuprofen").text
    assert "such as ibuprofen" not in text


@pytest.mark.parametrize("asked", ["should i double my sertraline dose", "can i stop my statins"])
def test_a_prescribed_medicine_is_not_changed_alone(composer: Composer, asked: str) -> None:
    assert "before asking whoever prescribed it" in composer.answer(asked).text


def test_advice_for_women_who_are_not_pregnant_is_not_given_in_pregnancy(
    composer: Composer,
) -> None:
    before = Turn("user", "will a uti go away by itself")
    text = composer.answer("what if im pregnant", (before, Turn("assistant", "…"))).text
    assert "not pregnant" not in text
    assert "antibiotics promptly" in text


@pytest.mark.parametrize("asked", ["melatonin for my 7 year old", "vitamin d for a newborn"])
def test_how_adults_take_a_medicine_is_not_told_for_a_child(composer: Composer, asked: str) -> None:
    answer = composer.answer(asked)
    assert not any(citation.passage.startswith("- Take") for citation in answer.citations)
