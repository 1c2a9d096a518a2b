"""The general model is read from its own file as the recogniser itself reads it."""

import random
from pathlib import Path

import numpy as np
import pocketsphinx
import pytest

from voice_service.offline import general, model, ngrams

_BASE = np.log(1.0001)


@pytest.fixture(scope="module")
def path() -> Path:
    """What comes with the recogniser."""
    return model.bundled("en-us.lm.bin")


@pytest.fixture(scope="module")
def read(path: Path) -> general.General:
    """Read once."""
    return general.read(path)


def test_chances_are_those_that_the_recogniser_answers(read: general.General, path: Path) -> None:
    config, log = pocketsphinx.Config(), pocketsphinx.LogMath()
    asked = pocketsphinx.NGramModel(config, log, str(path))
    drawn = random.Random(1)
    for rows, chances in ((read.pairs, read.bigrams), (read.triples, read.trigrams)):
        for number in drawn.sample(range(len(rows)), 200):
            said = [read.words[word] for word in rows[number]]
            assert chances[number] == pytest.approx(asked.prob(said[::-1]) * _BASE, abs=1e-2)


def test_words_are_plain_and_the_likeliest_first(read: general.General) -> None:
    likeliest = read.likeliest(2_000)

    assert likeliest[:3] == ["the", "to", "i"]
    assert "don't" in likeliest
    assert "'s" not in likeliest


def test_over_some_words_the_chances_sum_to_one(read: general.General) -> None:
    words = ["<s>", "</s>", *sorted({*read.likeliest(300), "doctor", "pain"})]
    numbers = {word: number for number, word in enumerate(words)}
    some = read.within(numbers, 1e-7)
    every, size = np.arange(len(words)), len(words)

    assert some.unigrams.sum() == pytest.approx(1)
    assert len(some.keys3) > 100
    for u, v in ((ngrams.START, numbers["i"]), (numbers["i"], numbers["have"])):
        assert some.two(v * size + every).sum() == pytest.approx(1)
        assert some.three((u * size + v) * size + every).sum() == pytest.approx(1)


@pytest.mark.parametrize("keep", [0, 10, 30, 2_000_000])
def test_a_file_that_is_another_or_cut_off_is_refused(
    path: Path, tmp_path: Path, keep: int
) -> None:
    cut = tmp_path / "cut.bin"
    cut.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(general.Unreadable):
        general.read(cut)
