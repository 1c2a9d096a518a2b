"""Trigram models: estimated from sentences, mixed, pruned and written as ARPA.

A word is its number in a vocabulary of `size` words, of which the first is the start of a
sentence and the second its end. An n-gram is one integer in base `size`.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

import numpy as np
from numpy.typing import NDArray

START, END = 0, 1
Keys = NDArray[np.int64]
Reals = NDArray[np.float64]


@dataclass(frozen=True)
class Model:
    """P(w), P(w|v) and P(w|u v) for the n-grams in it, and what each history leaves to others."""

    size: int
    unigrams: Reals
    left1: Reals
    keys2: Keys
    bigrams: Reals
    left2: Reals
    keys3: Keys
    trigrams: Reals
    seen1: Reals
    """Share of all words that each word is; an end is counted for its start as well."""
    seen2: Reals

    def two(self, keys: Keys) -> Reals:
        """P(w|v) for any pairs."""
        backed = self.left1[keys // self.size] * self.unigrams[keys % self.size]
        return _looked_up(self.keys2, self.bigrams, keys, backed)

    def three(self, keys: Keys) -> Reals:
        """P(w|u v) for any triples."""
        histories = keys // self.size
        left = _looked_up(self.keys2, self.left2, histories, np.ones(len(keys)))
        backed = left * self.two(keys % (self.size * self.size))
        return _looked_up(self.keys3, self.trigrams, keys, backed)


def _looked_up(known: Keys, values: Reals, keys: Keys, otherwise: Reals) -> Reals:
    if not len(known):
        return otherwise
    at = np.searchsorted(known, keys)
    at[at == len(known)] = 0
    return np.where(known[at] == keys, values[at], otherwise)


def estimate(sentences: Sequence[Sequence[int]], size: int) -> Model:
    """Interpolated Kneser-Ney with one discount an order."""
    flat, whose = _stream(sentences)
    same2 = whose[1:] == whose[:-1]
    pairs = (flat[:-1] * size + flat[1:])[same2]
    same3 = whose[2:] == whose[:-2]
    triples = ((flat[:-2] * size + flat[1:-1]) * size + flat[2:])[same3]
    keys3, count3 = np.unique(triples, return_counts=True)
    keys2, count2 = np.unique(pairs, return_counts=True)
    unigrams, p2, left1, kept2 = _lower(keys2, count2, keys3, size)
    totals = np.bincount(np.searchsorted(keys2, keys3 // size), count3, len(keys2))
    kinds = np.bincount(np.searchsorted(keys2, keys3 // size), minlength=len(keys2))
    discount = _discount(count3)
    left2 = np.where(totals > 0, discount * kinds / np.maximum(totals, 1), 1.0)
    history = np.searchsorted(keys2, keys3 // size)
    lower = p2[np.searchsorted(keys2, keys3 % (size * size))]
    p3 = np.maximum(count3 - discount, 0) / totals[history] + left2[history] * lower
    words = np.bincount(flat, minlength=size).astype(float)
    total = float(len(flat))
    return Model(size, unigrams, left1, keys2, p2, left2, keys3, p3, words / total, kept2 / total)


def _stream(sentences: Sequence[Sequence[int]]) -> tuple[Keys, Keys]:
    lengths = np.array([len(sentence) + 2 for sentence in sentences])
    flat = np.fromiter(
        (word for sentence in sentences for word in (START, *sentence, END)),
        dtype=np.int64,
        count=int(lengths.sum()),
    )
    return flat, np.repeat(np.arange(len(sentences)), lengths)


def _discount(counts: Keys) -> float:
    ones, twos = int((counts == 1).sum()), int((counts == 2).sum())
    return ones / (ones + 2 * twos) if ones and twos else 0.5


def _lower(keys2: Keys, count2: Keys, keys3: Keys, size: int) -> tuple[Reals, Reals, Reals, Reals]:
    """P(w), P(w|v), what each v leaves, and how often each pair was seen."""
    before = np.bincount(
        np.searchsorted(keys2, keys3 % (size * size)), minlength=len(keys2)
    ).astype(float)
    history, word = keys2 // size, keys2 % size
    continued = np.where(history == START, count2, before)
    continuing = np.bincount(word, minlength=size).astype(float)
    discount1 = _discount(continuing[continuing > 0].astype(np.int64))
    total1, kinds1 = continuing.sum(), float((continuing > 0).sum())
    usable = np.ones(size)
    usable[START] = 0
    unigrams = np.maximum(continuing - discount1, 0) / total1
    unigrams += discount1 * kinds1 / total1 * usable / usable.sum()
    totals = np.bincount(history, continued, size)
    kinds = np.bincount(history[continued > 0], minlength=size)
    discount2 = _discount(continued[continued > 0].astype(np.int64))
    left1 = np.where(totals > 0, discount2 * kinds / np.maximum(totals, 1e-12), 1.0)
    p2 = np.maximum(continued - discount2, 0) / np.maximum(totals[history], 1e-12)
    p2 += left1[history] * unigrams[word]
    return unigrams, p2, left1, count2.astype(float)


def from_chances(
    unigrams: Reals, seen1: Reals, two: tuple[Keys, Reals], three: tuple[Keys, Reals]
) -> Model:
    """A model of chances that are known, over a part of the words they were known for; `unigrams`
    sum to one, and pairs that triples need are added."""
    size = len(unigrams)
    known, chances = two
    keys3, trigrams = three
    keys2 = np.unique(np.concatenate([known, keys3 // size, keys3 % (size * size)]))
    explicit = np.bincount(known // size, chances, size)
    covered = np.bincount(known // size, unigrams[known % size], size)
    backed = _left(explicit, covered)[keys2 // size] * unigrams[keys2 % size]
    bigrams = _looked_up(known, chances, keys2, backed)
    seen = (seen1, seen1[keys2 // size] * bigrams)
    return _balanced(size, unigrams, (keys2, bigrams), (keys3, trigrams), seen)


def mix(models: Sequence[tuple[Model, float]]) -> Model:
    """The linear mixture over the union of all n-grams; the weights sum to one."""
    size = models[0][0].size
    keys3 = np.unique(np.concatenate([model.keys3 for model, _ in models]))
    suffixes = np.unique(keys3 % (size * size))
    histories = np.unique(keys3 // size)
    keys2 = np.unique(np.concatenate([*(m.keys2 for m, _ in models), suffixes, histories]))
    unigrams = sum((w * m.unigrams for m, w in models), np.zeros(size))
    bigrams = sum((w * m.two(keys2) for m, w in models), np.zeros(len(keys2)))
    trigrams = sum((w * m.three(keys3) for m, w in models), np.zeros(len(keys3)))
    seen1 = sum((w * m.seen1 for m, w in models), np.zeros(size))
    zero = np.zeros(len(keys2))
    seen2 = sum((w * _looked_up(m.keys2, m.seen2, keys2, zero) for m, w in models), zero)
    return _balanced(size, unigrams, (keys2, bigrams), (keys3, trigrams), (seen1, seen2))


def _balanced(
    size: int,
    unigrams: Reals,
    two: tuple[Keys, Reals],
    three: tuple[Keys, Reals],
    seen: tuple[Reals, Reals],
) -> Model:
    """The model whose histories leave what makes their probabilities sum to one."""
    keys2, bigrams = two
    keys3, trigrams = three
    left1 = _left(np.bincount(keys2 // size, bigrams, size),
                  np.bincount(keys2 // size, unigrams[keys2 % size], size))  # fmt: skip
    history = np.searchsorted(keys2, keys3 // size)
    lower = bigrams[np.searchsorted(keys2, keys3 % (size * size))]
    left2 = _left(np.bincount(history, trigrams, len(keys2)),
                  np.bincount(history, lower, len(keys2)))  # fmt: skip
    return Model(size, unigrams, left1, keys2, bigrams, left2, keys3, trigrams, *seen)


def _left(explicit: NDArray[Any], covered: NDArray[Any]) -> Reals:
    left: Reals = np.maximum(1 - explicit, 1e-9) / np.maximum(1 - covered, 1e-9)
    return left


def prune(model: Model, threshold: float) -> Model:
    """Without the n-grams whose loss changes P(h) P(w|h) |log P| by less than `threshold`."""
    size = model.size
    history = np.searchsorted(model.keys2, model.keys3 // size)
    suffix = np.searchsorted(model.keys2, model.keys3 % (size * size))
    backed3 = model.left2[history] * model.bigrams[suffix]
    weight3 = model.seen2[history] * model.trigrams * np.abs(np.log(model.trigrams / backed3))
    kept3 = weight3 >= threshold
    keys3 = model.keys3[kept3]
    needed = np.zeros(len(model.keys2), dtype=bool)
    needed[history[kept3]] = True
    needed[suffix[kept3]] = True
    backed2 = model.left1[model.keys2 // size] * model.unigrams[model.keys2 % size]
    weight2 = model.seen1[model.keys2 // size] * model.bigrams
    weight2 *= np.abs(np.log(np.maximum(model.bigrams, 1e-30) / np.maximum(backed2, 1e-30)))
    kept2 = needed | (weight2 >= threshold)
    return _balanced(
        size,
        model.unigrams,
        (model.keys2[kept2], model.bigrams[kept2]),
        (keys3, model.trigrams[kept3]),
        (model.seen1, model.seen2[kept2]),
    )


def write_arpa(model: Model, words: Sequence[str], path: Path) -> None:
    """`words[i]` is the text of word `i`."""
    size = model.size
    first = _logs(model.unigrams)
    first[START] = "-99.0000"
    pairs = [f"{words[u]} {words[v]}" for u, v in _columns(model.keys2, size)]
    with path.open("w", encoding="utf-8") as out:
        out.write(f"\\data\\\nngram 1={size}\nngram 2={len(model.keys2)}\n")
        out.write(f"ngram 3={len(model.keys3)}\n\n\\1-grams:\n")
        _rows(out, first, words, _logs(model.left1))
        out.write("\n\\2-grams:\n")
        _rows(out, _logs(model.bigrams), pairs, _logs(model.left2))
        out.write("\n\\3-grams:\n")
        history = np.searchsorted(model.keys2, model.keys3 // size).tolist()
        last = (model.keys3 % size).tolist()
        triples = (f"{pairs[uv]} {words[w]}" for uv, w in zip(history, last, strict=True))
        logs = _logs(model.trigrams)
        out.writelines(f"{log}\t{text}\n" for log, text in zip(logs, triples, strict=True))
        out.write("\n\\end\\\n")


def _rows(out: TextIO, logs: Sequence[str], texts: Sequence[str], left: Sequence[str]) -> None:
    rows = zip(logs, texts, left, strict=True)
    out.writelines(f"{log}\t{text}\t{rest}\n" for log, text, rest in rows)


def _columns(keys2: Keys, size: int) -> Iterator[tuple[int, int]]:
    return zip((keys2 // size).tolist(), (keys2 % size).tolist(), strict=True)


def _logs(values: Reals) -> list[str]:
    """Logarithms to the base of ten, as text; no value is below 1e-9."""
    return [f"{log:.4f}" for log in np.log10(np.maximum(values, 1e-9)).tolist()]
