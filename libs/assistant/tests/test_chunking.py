"""Passages: whole sentences, within the limits, at their exact places."""

import re

import pytest

from assistant.knowledge import chunking, encoder, prose
from assistant.knowledge.settings import Chunking

TEXT = """Headache is pain in the head, e.g. behind the eyes. Most headaches pass by themselves!

- Drink 1.5 litres of water a day.
- Rest in a dark room. Sleep if you can.
1. Take paracetamol (“as the packet says”). Is a headache catching? Headaches are not catching.
"""


def count_words(texts: object) -> list[int]:
    assert isinstance(texts, list)
    return [prose.words(text) for text in texts]


def test_sentences_end_where_a_reader_ends_them() -> None:
    found = prose.sentences(TEXT)
    assert [each.text for each in found] == [
        "Headache is pain in the head, e.g. behind the eyes.",
        "Most headaches pass by themselves!",
        "Drink 1.5 litres of water a day.",
        "Rest in a dark room.",
        "Sleep if you can.",
        "Take paracetamol (“as the packet says”).",
        "Is a headache catching?",
        "Headaches are not catching.",
    ]
    assert [each.item for each in found] == [None, None, "-", "-", "", "1.", "", ""]
    assert all(TEXT[each.start : each.end] == each.text for each in found)


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("Most people need vitamin D. Vitamin D helps bones.", 2),
        ("Fever is 38 °C. Call now if fever lasts.", 2),
        ("Two germs cause hepatitis B. Vaccines prevent hepatitis B.", 2),
        ("Found by J. Smith and A. B. Jones. Later proved.", 2),
        ("Dr. Smith advises rest.", 1),
        ("In the U.S. Americans say acetaminophen.", 1),
    ],
)
def test_a_lone_capital_ends_a_sentence_only_after_a_plain_word(text: str, count: int) -> None:
    assert len(prose.sentences(text)) == count


@pytest.mark.parametrize("words", [5, 12, 20, 200])
def test_chunks_are_whole_sentences_within_the_limit(words: int) -> None:
    splitter = chunking.SentenceSplitter(Chunking(words=words, tokens=1000), count_words)
    spans = splitter.spans(TEXT)
    assert splitter.split_text(TEXT) == [TEXT[start:end] for start, end in spans]
    assert all(prose.words(TEXT[start:end]) <= words for start, end in spans)
    joined = "".join(TEXT[start:end] for start, end in spans)
    assert re.sub(r"\s", "", joined) == re.sub(r"\s", "", TEXT)
    if words == 12:
        assert all(TEXT[start:end].endswith((".", "!", "?")) for start, end in spans)


def test_a_sentence_beyond_the_limit_is_cut_and_nothing_is_lost() -> None:
    sentence = "Tests may be used: " + " - ".join(
        f"test number {each} of blood;" for each in range(40)
    )
    splitter = chunking.SentenceSplitter(Chunking(words=20, tokens=1000), count_words)
    spans = splitter.spans(sentence)
    assert len(spans) > 5
    assert all(prose.words(sentence[start:end]) <= 20 for start, end in spans)
    joined = "".join(sentence[start:end] for start, end in spans)
    assert joined.replace(" ", "") == sentence.replace(" ", "")


def test_model_tokens_are_a_limit_too() -> None:
    bundled = encoder.WordLlama()
    rare = "Pneumonoultramicroscopicsilicovolcanoconiosis is rare. " * 30
    splitter = chunking.SentenceSplitter(Chunking(), bundled.count_tokens)
    chunks = splitter.split_text(rare)
    assert max(bundled.count_tokens(chunks)) <= 200
    assert max(prose.words(chunk) for chunk in chunks) < 120


def test_a_tokenizer_that_counts_more_for_the_whole_is_believed() -> None:
    def jump(texts: object) -> list[int]:
        return [words if words < 6 else 10 * words for words in count_words(texts)]

    splitter = chunking.SentenceSplitter(Chunking(words=1000, tokens=50), jump)
    chunks = splitter.split_text("Rest in bed. Drink some water. Call a doctor. Wait a while.")
    assert max(jump(chunks)) <= 50


@pytest.mark.parametrize("empty", ["", "  \n\n ", "\n- \n"])
def test_nothing_makes_no_chunks(empty: str) -> None:
    splitter = chunking.SentenceSplitter(Chunking(), count_words)
    assert [chunk for chunk in splitter.split_text(empty) if chunk.strip("- \n")] == []
