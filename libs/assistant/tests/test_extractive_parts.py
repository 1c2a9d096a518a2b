"""The parts of library mode, each on words and cards made up for the test."""

from types import SimpleNamespace

import pytest

from assistant.extractive import (
    Composer,
    intents,
    lexicon,
    naming,
    open_composer,
    pages,
    parts,
    question,
    repair,
    topic,
)
from assistant.knowledge import cards, encoder
from assistant.turns import Turn

HUM = """---
title: Hum fever
kind: condition
also_called: [humming, blue hum]
not_this: [hum of a fridge]
reviewed: 2026-11
---
## What it is
Hum fever is a made-up illness with a blue rash.

## Signs
Hum fever causes a blue rash. It itches at night.

## How long it lasts
Hum fever usually lasts 3 days.

## What to do
1. Sit down.
2. Take two humazol tablets of 500 mg (adults only).
3. Drink water.

## What not to do
Do not scratch hum fever.

## Children
A child with hum fever needs juice, not tablets.

## Common questions
Hum fever is not contagious. Swimming should wait until hum fever is no longer contagious.

## Compared with
Hum fever turns the skin blue, while zim pain does not.

## When to see someone
See a doctor if hum fever lasts over a week.

## Danger signs
Call emergency services if hum fever turns green.

## Sources
- NHS: Hum fever. https://example.org/hum
"""
ZIM = """---
title: Zim pain
kind: symptom
also_called: [sore zim]
not_this: []
reviewed: 2026-11
---
## What it is
Zim pain is a made-up ache of the zim.

## Signs
Zim pain throbs after running.

## What to do
- Rest the zim.

## When to see someone
See a doctor if zim pain lasts over a month.

## Danger signs
Call emergency services if zim pain comes with a numb zim.

## Sources
- CDC: Zim pain. https://example.org/zim
"""


def shelf_of(**texts: str) -> SimpleNamespace:
    found = {key: cards.parse(text, document_id=key) for key, text in texts.items()}
    return SimpleNamespace(cards=found, encoder=encoder.WordLlama())


@pytest.fixture(scope="module")
def shelf() -> pages.Shelf:
    return pages.build(shelf_of(hum=HUM, zim=ZIM), lexicon.load())


@pytest.fixture(scope="module")
def composer() -> Composer:
    return open_composer(shelf_of(hum=HUM, zim=ZIM))


@pytest.fixture(scope="module")
def reader() -> question.Reader:
    words = lexicon.load()
    return question.Reader(words, repair.Repairer(["throat", "migraine"], words.english))


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("throte", "throat"),
        ("migrane", "migraine"),
        ("diarrea", "diarrhoea"),
        ("exzema", "eczema"),
        ("vommiting", "vomiting"),
        ("lupus", "lupus"),
        ("lips", "lips"),
        ("mirgaine", "migraine"),
        ("qwertyuiop", "qwertyuiop"),
    ],
)
def test_a_slip_is_mended_only_to_a_word_that_sounds_or_looks_like_it(
    written: str, meant: str
) -> None:
    known = ["throat", "migraine", "diarrhoea", "eczema", "vomiting", "lips", "limps"]
    assert repair.Repairer(known, lexicon.load().english).word(written) == meant


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        ("Can't sleep", "cannot sleep"),
        ("what’s a UTI", "what is a uti"),
        ("Tylenol for DIARRHEA", "paracetamol for diarrhoea"),
        ("my 2 yr old", "my 2 year old"),
        ("the ER", "the hospital"),
        ("throwing up", "vomiting"),
    ],
)
def test_everyday_forms_become_one(said: str, meant: str) -> None:
    assert lexicon.load().normalise(said) == meant


def test_a_variant_is_final() -> None:
    words = lexicon.load()
    unsettled = {key for key, to in words.variants.items() if words.normalise(to) != to}
    assert not unsettled


@pytest.mark.parametrize(
    ("said", "kinds"),
    [
        ("what can i take for a cold", ["care"]),
        ("can i take ibuprofen", ["safe", "yes-no"]),
        ("how do i know it is flu", ["signs", "care"]),
        ("how do i treat it", ["care"]),
        ("how long between doses", ["dose"]),
        ("how long does it last", ["long"]),
        ("when should i see a doctor", ["when"]),
        ("how many tablets is an overdose", ["when"]),
        ("why do i get it", ["cause"]),
        ("is it dangerous", ["serious", "yes-no"]),
        ("flu versus cold", ["difference"]),
        ("what should i avoid", ["avoid", "care"]),
        ("side effects of statins", ["effects"]),
        ("constipated for days", []),
    ],
)
def test_the_kind_of_question(said: str, kinds: list[str]) -> None:
    assert [kind.name for kind in intents.find(said)] == kinds


@pytest.mark.parametrize(
    ("said", "people"),
    [
        ("my 6 year old is ill", {"child"}),
        ("my son is 25 years old", set()),
        ("i am 70 years old", set()),
        ("a 3 month old", {"child"}),
        ("is it ok when pregnant", {"pregnant"}),
        ("can i get pregnant on the pill", set()),
        ("while nursing a toddler", {"child"}),
        ("safe for breast feeding", {"breastfeeding"}),
    ],
)
def test_whom_it_concerns(reader: question.Reader, said: str, people: set[str]) -> None:
    assert reader.read(said).people == people


@pytest.mark.parametrize(
    ("said", "animal"),
    [
        ("my dog is sick", True),
        ("can i give my cat aspirin", True),
        ("bitten by a dog", False),
        ("i am allergic to my cat", False),
    ],
)
def test_animals_are_told_from_their_bites(
    reader: question.Reader, said: str, animal: bool
) -> None:
    assert reader.read(said).elsewhere is animal


def test_two_questions_are_split_and_one_is_not(reader: question.Reader) -> None:
    both = parts.split(reader, reader.read("what causes it and how do i treat it"))
    assert [part.kinds[0].name for part in both] == ["cause", "care"]
    one = parts.split(reader, reader.read("can i take ibuprofen and paracetamol"))
    assert len(one) == 1


def test_a_longer_name_hides_a_title_inside_it(shelf: pages.Shelf) -> None:
    found = naming.Names(shelf).find(["yellow", "fever", "or", "hum", "fever"])
    assert [span.name for span in found] == [("yellow", "fever"), ("hum", "fever")]
    assert [bool(span.owners) for span in found] == [False, True]


def test_a_lookalike_is_not_the_topic(shelf: pages.Shelf, reader: question.Reader) -> None:
    finder = topic.Finder(shelf)

    def topics(text: str) -> list[str]:
        read = reader.read(text)
        vector = shelf.encoder.encode([read.text])[0]
        return [each.page.card.id for each in finder.find(read, vector).topics]

    assert topics("what is hum fever") == ["hum"]
    assert topics("the hum of a fridge keeps me up") == []
    assert topics("yellow fever") == []


def test_a_sentence_that_leans_brings_the_one_before(composer: Composer) -> None:
    text = composer.answer("does hum fever itch at night").text
    assert "Hum fever causes a blue rash. It itches at night. [1]" in text


def test_what_is_stated_comes_before_a_condition(composer: Composer) -> None:
    assert composer.answer("is hum fever contagious").text.startswith(
        "Hum fever is not contagious."
    )


def test_a_child_gets_no_tablets_and_the_numbers_close_up(composer: Composer) -> None:
    text = composer.answer("my toddler has hum fever what do i do").text
    assert "needs juice" in text
    assert "500 mg" not in text
    assert "1. Sit down.\n2. Drink water." in text


def test_nothing_on_the_exact_point_is_said_so(composer: Composer) -> None:
    answer = composer.answer("can i go skydiving with hum fever")
    assert answer.text.startswith(
        "My library has a page on hum fever, but nothing on that exact point."
    )
    assert not answer.declined
    assert "turns green" in answer.text


def test_a_comparison_quotes_both_pages(composer: Composer) -> None:
    answer = composer.answer("hum fever vs zim pain")
    assert "while zim pain does not" in answer.text
    assert {citation.document_id for citation in answer.citations} == {"hum", "zim"}


def test_danger_comes_first_where_an_ambulance_is_named(composer: Composer) -> None:
    text = composer.answer("when do i call an ambulance for hum fever").text
    assert text.index("turns green") < text.index("over a week")


def test_an_empty_library_declines() -> None:
    assert open_composer(shelf_of()).answer("what is flu").declined


def test_long_and_strange_input_is_survived(composer: Composer) -> None:
    for text in ("hum fever " * 5_000, "\x00\ud7ff🤒" * 50, "((((", "١٢٣ حمى"):
        history = (Turn("user", text), Turn("assistant", text))
        assert composer.answer(text, history).text
        assert composer.spoken("and then?", history).text


def test_speech_offers_the_rest(composer: Composer) -> None:
    said = composer.spoken("what do i do about hum fever").text
    assert said.startswith("Sit down. Take two humazol tablets of 500 mg (adults only).")
    assert "That is from NHS." in said
    assert said.endswith("Shall I go on?")
