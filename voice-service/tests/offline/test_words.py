"""How words are pronounced, written, said and said back."""

import dataclasses
from pathlib import Path

import pytest

from voice_service.offline import hearing, pronunciations, readback, spoken


@pytest.mark.parametrize(
    ("ipa", "phones"),
    [
        ("mɛtfˈɔːɹmɪn", "M EH T F AO R M IH N"),
        ("tʃˈaɪld", "CH AY L D"),
        ("ˈoʊmɪɡə", "OW M IH G AH"),
        ("", ""),
    ],
)
def test_the_international_alphabet_becomes_phones(ipa: str, phones: str) -> None:
    assert pronunciations.from_ipa(ipa) == phones


def test_the_first_dictionary_wins_and_the_rest_is_guessed_or_left_out(tmp_path: Path) -> None:
    own, bundled = {"statin": ["S T"]}, {"statin": ["X"], "pill": ["P", "P L"]}

    found = pronunciations.collect(["statin", "pill", "zyx"], [own, bundled], None)
    guessed = pronunciations.collect(["zyx"], [own], lambda word: "Z")
    pronunciations.write(found, tmp_path / "words.dict")

    assert found == {"statin": ["S T"], "pill": ["P", "P L"]}
    assert guessed == {"zyx": ["Z"]}
    assert (tmp_path / "words.dict").read_text() == "pill P\npill(2) P L\nstatin S T\n"
    assert list(pronunciations.read(tmp_path / "words.dict"))[1] == ("pill", "P L")


@pytest.mark.parametrize(
    ("words", "text"),
    [
        ("i'm sure i can on tuesday", "I'm sure I can on Tuesday"),
        ("do i need an m. r. i. in june", "Do I need an MRI in June"),
        ("smith s. m. i. t. h.", "Smith S M I T H"),
        ("it is itchy", "It is itchy"),
        ("five hundred milligrams", "Five hundred milligrams"),
        ("", ""),
    ],
)
def test_recognised_words_are_written_as_people_write(words: str, text: str) -> None:
    assert hearing.written(words) == text


def test_confidence_falls_with_a_doubtful_word_and_with_readings_that_differ() -> None:
    def sure(**less: float) -> float:
        clear = hearing.Clarity(mean=-0.02, least=-500, pace=0.5)
        return hearing.confidence(dataclasses.replace(clear, **less))

    assert sure() > 0.8
    assert sure(mean=-2.0) < hearing.SURE
    assert sure(distance=1.0) < hearing.SURE
    assert sure(least=-1_000) < sure()
    assert sure(pace=4.0) < hearing.SURE < sure(pace=1.9)
    assert sure(mean=-30.0, distance=1_000) >= 0
    assert not hearing.Hearing("", "", 1.0).sure


@pytest.mark.parametrize(
    ("text", "said_back"),
    [
        ("Move it to next Tuesday at half past three", ("next Tuesday at half past three",)),
        ("I took two tablets of ibuprofen with milk", ("two tablets of ibuprofen",)),
        ("It was the third of May nineteen sixty two", ("third of May nineteen sixty two",)),
        ("My name is Smith S M I T H", ("S M I T H",)),
        ("May I ask a question", ()),
        ("I have a headache", ()),
        ("I have had a cough for three days", ()),
        ("It hurts in the morning", ()),
        ("After three", ("three",)),
        ("Morning please", ("Morning",)),
    ],
)
def test_dates_times_doses_and_drugs_are_said_back(text: str, said_back: tuple[str, ...]) -> None:
    assert readback.must_read_back(text) == said_back


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("Call 999 now!", "Call 9 9 9 now! "),
        ("Take 400mg, e.g. with food.", "Take 400 milligrams, for example with food. "),
        ("Wait 3-5 days", "Wait 3 to 5 days "),
        ("**Stop** (now).", "Stop now. "),
        ("Ask your GP/nurse", "Ask your GP or nurse "),
        ("A fever of 38°C", "A fever of 38 degrees "),
    ],
)
def test_signs_units_and_numbers_are_said_in_full(written: str, said: str) -> None:
    assert spoken.form(written).text == said


@pytest.mark.parametrize("written", ["  Call 999 now! ", "One — two", "x", "\n"])
def test_the_words_of_a_form_are_the_text_again(written: str) -> None:
    form = spoken.form(written)

    assert "".join(word.written for word in form.words) == (written if written.strip() else "")
    assert [word.end for word in form.words][:-1] == [word.start for word in form.words][1:]
