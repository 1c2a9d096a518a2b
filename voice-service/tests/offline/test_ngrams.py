"""Chances sum to one whatever is estimated, mixed and pruned."""

from pathlib import Path

import numpy as np
import pytest

from voice_service.offline import ngrams

_WORDS = ["<s>", "</s>", "a", "b", "c", "d"]
_ONE = [[2, 3], [2, 3, 4], [2, 2, 3], [3], [2, 3, 4]] * 3 + [[4, 2]]
_TWO = [[5, 2], [5, 5], [3, 4]]


def _models() -> list[ngrams.Model]:
    one, two = ngrams.estimate(_ONE, 6), ngrams.estimate(_TWO, 6)
    pairs = np.array([ngrams.START * 6 + 2, 2 * 6 + 3])
    unigrams = np.array([0, 0.2, 0.2, 0.2, 0.2, 0.2])
    triples = np.array([(2 * 6 + 3) * 6 + 4, (3 * 6 + 4) * 6 + 5])
    broad = ngrams.from_chances(
        unigrams, unigrams, (pairs, np.array([0.5, 0.4])), (triples, np.array([0.7, 0.3]))
    )
    mixed = ngrams.mix([(one, 0.6), (two, 0.3), (broad, 0.1)])
    return [one, two, broad, mixed, ngrams.prune(mixed, 1e-3), ngrams.prune(mixed, 1.0)]


@pytest.mark.parametrize("model", _models())
def test_the_chances_after_any_history_sum_to_one(model: ngrams.Model) -> None:
    words = np.arange(6)
    histories = [0, 2, 3, 4, 5]

    assert model.unigrams.sum() == pytest.approx(1)
    for v in histories:
        assert model.two(v * 6 + words).sum() == pytest.approx(1)
        for u in histories:
            assert model.three((u * 6 + v) * 6 + words).sum() == pytest.approx(1)


def test_a_mixture_is_the_weighted_mean() -> None:
    one, two, *_ = _models()
    mixed = ngrams.mix([(one, 0.7), (two, 0.3)])
    key = np.array([(0 * 6 + 2) * 6 + 3])

    assert mixed.three(key) == pytest.approx(0.7 * one.three(key) + 0.3 * two.three(key))


def test_pruning_takes_away_and_keeps_what_later_ones_need() -> None:
    mixed = _models()[3]
    pruned = ngrams.prune(mixed, 2e-2)

    assert 0 < len(pruned.keys3) < len(mixed.keys3)
    assert set(pruned.keys3 // 6) <= set(pruned.keys2)
    assert set(pruned.keys3 % 36) <= set(pruned.keys2)


def test_the_file_counts_what_it_holds(tmp_path: Path) -> None:
    model = _models()[3]
    ngrams.write_arpa(model, _WORDS, tmp_path / "x.arpa")
    lines = (tmp_path / "x.arpa").read_text().splitlines()

    assert f"ngram 3={len(model.keys3)}" in lines
    assert len(lines[lines.index("\\3-grams:") + 1 : lines.index("\\end\\") - 1]) == len(
        model.keys3
    )
    assert any(line.startswith("-99.0000\t<s>\t") for line in lines)
