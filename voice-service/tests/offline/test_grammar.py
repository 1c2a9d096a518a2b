"""Sentences are drawn from text."""

import pytest

from voice_service.offline import corpora, grammar

_TEXT = """
[greeting]
9: hello {who}   # nine times as often
(good|fine) (morning|), bye
[who]
john, mary
"""


def test_sentences_come_from_the_rules_and_repeat_with_a_seed() -> None:
    read = grammar.parse(_TEXT)
    drawn = list(read.sentences("greeting", 500, seed=1))

    assert drawn == list(read.sentences("greeting", 500, seed=1))
    assert {" ".join(words) for words in drawn} == {
        "hello john", "hello mary", "good", "good morning", "fine", "fine morning", "bye",
    }  # fmt: skip
    assert sum(words[0] == "hello" for words in drawn) > 350


def test_an_option_may_have_a_weight_of_its_own() -> None:
    read = grammar.parse("[hour]\none, 8: two, three\n4: four")
    drawn = [words for (words,) in read.sentences("hour", 1_400, seed=1)]

    assert set(drawn) == {"one", "two", "three", "four"} == read.words()
    assert 700 < drawn.count("two") < 900
    assert 350 < drawn.count("four") < 450


def test_a_rule_goes_on_in_a_later_text() -> None:
    read = grammar.parse("[a]\none", "[a]\ntwo")

    assert {words[0] for words in read.sentences("a", 50, seed=1)} == {"one", "two"}


@pytest.mark.parametrize("text", ["stray", "[a]\n(one", "[a]\none)", "[a]\n{missing}"])
def test_a_grammar_that_cannot_be_read_is_refused(text: str) -> None:
    with pytest.raises(grammar.Malformed):
        grammar.parse(text)


@pytest.mark.parametrize(
    ("written", "words"),
    [
        ("Haemorrhoids aren't tumours.", ["hemorrhoids", "aren't", "tumors"]),
        ("Drink 2 litres", []),
        ("Follow-up’s over", ["follow", "up's", "over"]),
    ],
)
def test_written_sentences_are_spelled_as_the_dictionary_does(
    written: str, words: list[str]
) -> None:
    assert corpora.spelled(written) == words
