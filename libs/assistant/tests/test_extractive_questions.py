"""Everyday questions to the library that ships: the right page, the key fact, or a plain no."""

import re
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from assistant.extractive import Composer, open_composer
from assistant.knowledge import cards, encoder, prose
from assistant.turns import Turn

LIBRARY = Path(__file__).parents[3] / "library"

ANSWERED = [
    ("what actually is a migraine", "migraine", "repeated attacks"),
    ("wats shingles", "shingles", "chickenpox virus"),
    ("please explain high cholesterol", "high-cholesterol", "fatty substance"),
    ("what does uti mean", "urinary-tract-infection", "infection of the bladder"),
    ("how would i recognise a stroke", "stroke", "face"),
    ("what does a ringworm patch look like", "ringworm", "scaly"),
    ("signs my baby is dehydrated", "dehydration", "wet nappies"),
    ("could this be gout", "gout", "big toe"),
    ("syptoms of pnuemonia", "pneumonia", "breathlessness"),
    ("my nose is bleeding what should i do", "nosebleed", "Pinch"),
    ("spilt hot tea on my arm, what do i put on the burn", "burns", "cool running water"),
    ("how do you take a tick out", "tick-bite", "tweezers"),
    ("remedies for a sore throte", "sore-throat", "Gargle"),
    ("stung by a wasp what now", "insect-bite-or-sting", "cold pack"),
    ("how can i get rid of nits", "head-lice", "Comb"),
    ("something for hayfever please", "hay-fever", "pollen"),
    ("cannot sleep, any tips", "insomnia", "same time every day"),
    ("best food if you have high cholesterol", "high-cholesterol", "oats"),
    ("what helps when my head is pounding", "headache", "paracetamol"),
    ("when should i get a headache checked", "headache", "sudden and severe"),
    ("is my back pain an emergency", "back-pain", "bladder or bowel control"),
    ("should i take my feverish 2 month old to hospital", "fever-in-children", "under 3 months"),
    ("when to call 999 for asthma", "asthma", "reliever inhaler"),
    ("do i need a doctor for this tick bite", "tick-bite", "spreading rash"),
    ("how many days does a cold go on", "common-cold", "1 to 2 weeks"),
    ("how long are you infectious with chickenpox", "chickenpox", "scabbed"),
    ("how soon do antidepressants work", "antidepressants-ssri", "2 to 4 weeks"),
    ("recovery time sprained ankle", "ankle-sprain", "weeks"),
    ("can i take ibuprofen when im pregnant", "ibuprofen", "20 weeks"),
    ("is tylenol ok in pregnancy", "paracetamol", "first choice"),
    ("is it alright to drink wine on ibuprofen", "ibuprofen", "alcohol"),
    ("can i mix paracetamol and ibuprofen", None, "together"),
    ("ibuprofen with warfarin?", "ibuprofen", "not safe"),
    ("can i have ibuprofen with my lisinopril", "ibuprofen", "blood pressure tablets"),
    ("can i give my son aspirin", "aspirin", "under 16"),
    ("is honey safe for a baby with a cough", "cough", "Never give honey"),
    ("can i swim with an ear infection", "ear-infection", "best avoided"),
    ("may i put ice on a burn", "burns", "Do not put ice"),
    (
        "can i stop taking my blood pressure tablets",
        "high-blood-pressure",
        "talking to your doctor",
    ),
    ("maximum paracetamol in a day", "paracetamol", "4 g"),
    ("how often can i take nurofen", "ibuprofen", "6 hours"),
    ("how many paracetamol is an overdose", "paracetamol", "hospital at once"),
    ("what causes acid reflux", "heartburn", "stomach acid"),
    ("why do i keep getting nose bleeds", "nosebleed", "dry air"),
    ("how do people catch scabies", "scabies", "skin contact"),
    ("flu or a cold, how can i tell", "flu", "while"),
    ("what is the difference between type 1 and type 2 diabetes", "type-1-diabetes", "while"),
    ("panadol vs nurofen", "paracetamol", "while"),
    ("stomach ulcer or heartburn?", "stomach-ulcer", "while"),
    ("is eczema catching", "eczema", "not contagious"),
    ("does cranberry juice cure cystitis", "urinary-tract-infection", "does not cure"),
    ("can diabetes be cured", "type-2-diabetes", "cannot be cured"),
    ("can you die of flu", "flu", "can die"),
    ("are head lice dangerous", "head-lice", "not dangerous"),
    ("can you get shingles again", "shingles", "come back"),
    ("what causes insomnia and how can i treat it", "insomnia", "same time every day"),
    ("how long does flu last and is it contagious", "flu", "contagious from one day"),
]

DECLINED = [
    "what is lupus",
    "symptoms of multiple sclerosis",
    "what is pulmonary hypertension",
    "yellow fever symptoms",
    "burning mouth syndrome",
    "night terrors in my child",
    "is it safe to have botox",
    "what dose of methotrexate do i take",
    "my dog has diarrhoea",
    "can i give my cat paracetamol",
    "cold hands all day",
    "help with a tick box form",
    "what is the weather tomorrow",
    "who won the league",
    "write me a poem",
    "book me an appointment on friday",
    "how do i get over a breakup",
    "best phone to buy",
    "",
    "?!",
]

LATER = [
    ("what is a migraine", "how long does it last", "migraine", "4 hours"),
    ("can i take paracetamol for a headache", "what about when pregnant", "paracetamol", "first"),
    ("can i take paracetamol while pregnant", "what about ibuprofen", "ibuprofen", "20 weeks"),
    ("is ibuprofen ok for back pain", "how much can i take", "ibuprofen", "200 mg"),
    ("i have insomnia", "what should i avoid", "insomnia", "caffeine"),
    ("what is impetigo", "is it contagious?", "impetigo", "contagious"),
    ("how long does a cold last", "and flu?", "flu", "one week"),
    ("what is metronidazole", "can i drink on it", "antibiotics", "metronidazole"),
    ("how do i treat ringworm", "how long until it clears up", "ringworm", "two to four weeks"),
]

OWN_WORDS = ("I cannot make a diagnosis", "My library says this:", "My library has a page")

REWORDINGS: list[Callable[[str], str]] = [
    lambda text: text.upper(),
    lambda text: f"{text}???",
    lambda text: f"  {text} ",
    lambda text: f"hi, {text} please",
    lambda text: f"um so {text}",
    lambda text: text.replace("'", "’"),
    lambda text: f"{text}\n\nthanks",
]


@pytest.fixture(scope="module")
def composer() -> Composer:
    found = {card.id: card for card in cards.load(LIBRARY)}
    return open_composer(SimpleNamespace(cards=found, encoder=encoder.WordLlama()))


@pytest.mark.parametrize(("question", "topic", "fact"), ANSWERED)
def test_it_answers(composer: Composer, question: str, topic: str | None, fact: str) -> None:
    answer = composer.answer(question)
    assert not answer.declined
    assert topic in (None, answer.topic)
    assert fact.lower() in answer.text.lower()


@pytest.mark.parametrize("question", DECLINED)
def test_it_says_when_it_has_nothing(composer: Composer, question: str) -> None:
    answer = composer.answer(question)
    assert answer.declined
    assert answer.topic is None
    assert answer.citations == ()
    assert "pharmacist, nurse or doctor" in answer.text


@pytest.mark.parametrize(("before", "question", "topic", "fact"), LATER)
def test_it_follows_on(
    composer: Composer, before: str, question: str, topic: str, fact: str
) -> None:
    said = composer.answer(before).text
    answer = composer.answer(question, (Turn("user", before), Turn("assistant", said)))
    assert answer.topic == topic
    assert fact in answer.text


@pytest.mark.parametrize(("question", "topic"), [(q, t) for q, t, _ in ANSWERED[::4]])
def test_harmless_rewording_keeps_the_topic(
    composer: Composer, question: str, topic: str | None
) -> None:
    first = composer.answer(question).topic
    assert [composer.answer(reword(question)).topic for reword in REWORDINGS] == [first] * 7


@pytest.mark.parametrize("question", [question for question, _, _ in ANSWERED])
def test_every_marker_names_a_passage_that_holds_its_sentences(
    composer: Composer, question: str
) -> None:
    answer = composer.answer(question)
    by_marker = {citation.marker: citation for citation in answer.citations}
    assert [*by_marker] == list(range(1, len(by_marker) + 1))
    assert {int(marker) for marker in re.findall(r"\[(\d+)\]", answer.text)} == {*by_marker}
    at = 0
    for found in re.finditer(r" \[(\d+)\]", answer.text):
        passage = " ".join(by_marker[int(found[1])].passage.split())
        for sentence in prose.sentences(answer.text[at : found.start()]):
            said = sentence.text.removeprefix("When to get help: ")
            assert said in passage or said.startswith(OWN_WORDS)
        at = found.end()


@pytest.mark.parametrize("question", [question for question, _, _ in ANSWERED])
def test_it_speaks_briefly_and_without_markers(composer: Composer, question: str) -> None:
    said = composer.spoken(question)
    assert len(said.text.split()) <= 75
    assert "[" not in said.text
    assert said.citations
    assert said.citations[0].source in said.text


ADULT_DOSE = re.compile(r"\b(?:\d+ ?mg|one or two|eight)\b", re.IGNORECASE)


@pytest.mark.parametrize("medicine", ["paracetamol", "ibuprofen", "aspirin", "nurofen", "calpol"])
@pytest.mark.parametrize(
    "form",
    [
        "how much {} for my 6 year old",
        "{} dose for a toddler",
        "how many {} can my daughter take",
        "how often can i give my baby {}",
        "my son is 9, what is the max {} a day",
        "how much {} can i take, i am 20 weeks pregnant",
    ],
)
def test_no_adult_dose_for_a_child_or_in_pregnancy(
    composer: Composer, medicine: str, form: str
) -> None:
    answer = composer.answer(form.format(medicine))
    assert not ADULT_DOSE.search(answer.text.split("When to get help")[0])


def test_no_adult_dose_for_a_child_named_a_turn_before(composer: Composer) -> None:
    before = Turn("user", "can my 4 year old have paracetamol")
    answer = composer.answer("and how much?", (before, Turn("assistant", "…")))
    assert answer.topic == "paracetamol"
    assert not ADULT_DOSE.search(answer.text.split("When to get help")[0])


@pytest.mark.parametrize("question", ["do i have gout", "is it croup", "have i got shingles"])
def test_no_diagnosis(composer: Composer, question: str) -> None:
    assert composer.answer(question).text.startswith("I cannot make a diagnosis")


def test_the_same_question_gives_the_same_answer(composer: Composer) -> None:
    once = composer.answer("how do i treat a burn")
    assert composer.answer("how do i treat a burn") == once


def test_two_medicines_are_never_answered_with_a_third(composer: Composer) -> None:
    text = composer.answer("can i take tramadol and ibuprofen together").text
    assert "paracetamol" not in text.split("[1]")[0]
    assert "nothing on that exact point" in text
