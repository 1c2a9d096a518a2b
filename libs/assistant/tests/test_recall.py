"""What a person says of themselves is kept, sorted, and stays within its room."""

import pytest

from assistant import recall, titles
from assistant.recall import Said


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("I'm allergic to penicillin.", "allergy"),
        ("Ibuprofen gives me hives", "allergy"),
        ("I’ve been taking 20 mg of fluoxetine since May.", "medicine"),
        ("My doctor prescribed tablets for it.", "medicine"),
        ("I'm on warfarin, may I have aspirin?", "medicine"),
        ("I have type 2 diabetes.", "condition"),
        ("I had my appendix removed in 1998.", "condition"),
        ("I am 12 weeks pregnant.", "pregnancy"),
        ("My name is Ann.", "person"),
        ("My son is 4 years old", "person"),
        ("My knee hurts since Tuesday.", "symptom"),
        ("We were on a farm last week.", "other"),
    ],
)
def test_a_fact_is_known_by_its_signs(text: str, kind: str) -> None:
    (fact,) = recall.extract(Said(3, "m", text))
    assert (fact.kind, fact.seq, fact.ref) == (kind, 3, "m")


@pytest.mark.parametrize(
    "text",
    [
        "Can I take ibuprofen with paracetamol?",
        "What is diabetes?",
        "is asthma curable",
        "Thanks!",
        "",
    ],
)
def test_a_mere_question_is_no_fact(text: str) -> None:
    assert recall.extract(Said(1, "m", text)) == []


def test_long_talk_of_one_thing_pushes_out_nothing_of_another() -> None:
    facts = recall.merge([], [Said(1, "first", "I'm Ann. I'm allergic to latex. I take ramipril.")])
    for begun in range(2, 2000, 10):
        said = [Said(n, str(n), f"My head hurt at {'a' * (n % 60)} place {n}.")
                for n in range(begun, begun + 10)]  # fmt: skip
        facts = recall.merge(facts, said)
    told = recall.told(facts)
    for words in ("allergic to latex", "I take ramipril", "I'm Ann"):
        assert words in told
    assert len(told) < sum(recall.ROOM.values()) + 500
    assert any(fact.kind == "symptom" and fact.seq > 1900 for fact in facts), "and the newest"


def test_the_same_words_stand_once_and_another_dose_is_another_fact() -> None:
    said = ["I take 5 mg of ramipril.", "I take 5 mg of ramipril.", "I take 10 mg of ramipril.",
            "My head hurts, day 1.", "My head hurts, day 2."]  # fmt: skip
    facts = recall.merge([], [Said(n, str(n), text) for n, text in enumerate(said)])
    assert len([fact for fact in facts if fact.kind == "medicine"]) == 2
    assert len([fact for fact in facts if fact.kind == "symptom"]) == 1


def test_merging_in_parts_is_merging_at_once() -> None:
    said = [Said(n, str(n), f"I took {n} mg of it. My {'toe' * n} hurts.") for n in range(30)]
    in_parts = recall.merge(recall.merge([], said[:11]), said[11:])
    kinds = {fact.kind for fact in recall.merge([], said)}
    assert {fact.kind for fact in in_parts} == kinds
    assert recall.merge(in_parts, []) == in_parts


@pytest.mark.parametrize(
    ("question", "topics", "expected"),
    [
        ("Hi, what is flu?", [], "What is flu"),
        ("hello doctor, my knee hurts", [], "My knee hurts"),
        ("My child is hot. What can I do?", [], "What can I do"),
        ("x" * 200, ["Fever", "Flu", "Flu"], "Flu"),
        ("word " * 40, [], "Word word word word word word word word word word word word…"),
        ("?!", [], "Conversation"),
        ("¿Qué es la gripe?", [], "¿Qué es la gripe"),
    ],
)
def test_a_title_is_the_question_or_its_topic(
    question: str, topics: list[str], expected: str
) -> None:
    title = titles.make(question, "none", topics)
    assert title == expected
    assert len(title) <= titles.LONGEST


def test_after_a_crisis_a_title_repeats_no_word() -> None:
    assert titles.make("I want to die", "crisis", ["Suicide"]) == titles.HARD_TIME
