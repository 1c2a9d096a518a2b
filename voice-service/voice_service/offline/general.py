"""The general English model that comes with the recogniser, read from its own file.

The recogniser's writer of a readable form ends in a segmentation fault, and its reader answers
one n-gram a call; the file itself is a trie in packed arrays that are read here at once. A word's
entry leads to the words before it: the children of `w` are the `v` of P(w|v), and theirs the `u`
of P(w|u v).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from voice_service.offline import ngrams

_MARK = b"Trie Language Model"
_ORDER = 3
_BINS = 1 << 16
_BASE = np.log(1.0001)
_LEAST = -100.0


class Unreadable(RuntimeError):
    """The file is not what this module reads."""


@dataclass(frozen=True)
class General:
    """Words and the natural logarithms of their chances; `pairs` and `triples` hold numbers of
    words in rows, in the order in which they are spoken."""

    words: Sequence[str]
    unigrams: ngrams.Reals
    pairs: NDArray[np.int32]
    bigrams: ngrams.Reals
    triples: NDArray[np.int32]
    trigrams: ngrams.Reals

    def likeliest(self, count: int) -> list[str]:
        """The plain words that are said most often."""
        found: list[str] = []
        for number in np.argsort(-self.unigrams, kind="stable"):
            if len(found) == count:
                break
            word = self.words[number]
            if word[0].isalpha() and word.replace("'", "").isalpha():
                found.append(word)
        return found

    def within(self, numbers: Mapping[str, int], least: float) -> ngrams.Model:
        """The model over the words of `numbers`, with the pairs and triples of which the chance
        to be said is above `least`."""
        size = len(numbers)
        new = np.array([numbers.get(word, -1) for word in self.words], dtype=np.int32)
        unigrams = np.full(size, 1e-9)
        unigrams[new[new >= 0]] = np.exp(self.unigrams[new >= 0])
        unigrams[ngrams.START] = 0
        unigrams /= unigrams.sum()
        seen1 = unigrams.copy()
        seen1[ngrams.START] = unigrams[ngrams.END]
        keys2, bigrams, weight2 = self._pairs(new, size, seen1, least)
        keys3, trigrams = self._triples(new, size, (keys2, weight2), least)
        return ngrams.from_chances(unigrams, seen1, (keys2, bigrams), (keys3, trigrams))

    def _pairs(
        self, new: NDArray[np.int32], size: int, seen1: ngrams.Reals, least: float
    ) -> tuple[ngrams.Keys, ngrams.Reals, ngrams.Reals]:
        """Keys in order, chances, and the chances to be said."""
        rows = new[self.pairs]
        chances = np.exp(self.bigrams)
        weights = seen1[rows[:, 0]] * chances
        kept = (rows >= 0).all(axis=1) & (weights > least)
        keys = rows[kept, 0].astype(np.int64) * size + rows[kept, 1]
        order = np.argsort(keys)
        return keys[order], chances[kept][order], weights[kept][order]

    def _triples(
        self,
        new: NDArray[np.int32],
        size: int,
        pairs: tuple[ngrams.Keys, ngrams.Reals],
        least: float,
    ) -> tuple[ngrams.Keys, ngrams.Reals]:
        """Keys in order and chances, of those whose first two words are among `pairs`."""
        rows = new[self.triples]
        known = (rows >= 0).all(axis=1)
        rows, chances = rows[known], np.exp(self.trigrams[known])
        keys2, weights = pairs
        begin = rows[:, 0].astype(np.int64) * size + rows[:, 1]
        places = np.minimum(np.searchsorted(keys2, begin), len(keys2) - 1)
        said = np.where(keys2[places] == begin, weights[places], 0.0) * chances
        kept = said > least
        keys = begin[kept] * size + rows[kept, 2]
        order = np.argsort(keys)
        return keys[order], chances[kept][order]


def read(path: Path) -> General:
    """Reads a trigram model as the recogniser stores it. Raises `Unreadable`."""
    held = np.fromfile(path, dtype=np.uint8)
    start = len(_MARK)
    if held[:start].tobytes() != _MARK or held[start] != _ORDER:
        raise Unreadable("the general model is of another kind")
    try:
        return _read(held, start + 1)
    except (IndexError, ValueError) as error:
        raise Unreadable("the general model is cut off") from error


def _read(held: NDArray[np.uint8], at: int) -> General:
    counts = _plain(held, at, np.uint32, 3).astype(np.int64)
    at += 16  # the counts, and a kind of quantisation that is always the same
    bins = _plain(held, at, np.float32, 3 * _BINS).reshape(3, _BINS)
    at += bins.nbytes
    first = _plain(held, at, np.uint32, 3 * (counts[0] + 1)).reshape(-1, 3)
    at += first.nbytes
    bits = [int(count).bit_length() for count in counts]
    middle = bits[0] + 32 + bits[2]
    longest = bits[0] + 16
    two = held[at : at + _bytes(counts[1], middle)]
    at += len(two)
    three = held[at : at + _bytes(counts[2], longest)]
    at += len(three)
    words = held[at + 4 :].tobytes().decode().split("\0")[: counts[0]]
    word2 = _owners(first[:, 2])  # the counts in the head are those of room, not of entries
    pairs = np.stack([_packed(two, len(word2), middle, 0, bits[0]), word2], axis=1)
    pair3 = _owners(_packed(two, len(word2) + 1, middle, bits[0] + 32, bits[2]))
    word1 = _packed(three, len(pair3), longest, 0, bits[0])
    return General(
        words,
        np.maximum(first[:-1, 0].copy().view(np.float32) * _BASE, _LEAST),
        pairs,
        bins[0][_packed(two, len(word2), middle, bits[0] + 16, 16)] * _BASE,
        np.column_stack([word1, pairs[pair3]]),
        bins[2][_packed(three, len(pair3), longest, bits[0], 16)] * _BASE,
    )


def _plain(held: NDArray[np.uint8], at: int, kind: Any, count: int) -> NDArray[Any]:
    return np.frombuffer(held, dtype=kind, count=int(count), offset=at)


def _bytes(count: int, bits: int) -> int:
    """Of an array of entries, with one more that ends the last one's children."""
    return int(((1 + count) * bits + 7) // 8 + 8)


def _packed(
    held: NDArray[np.uint8], count: int, entry: int, offset: int, bits: int
) -> NDArray[np.int32]:
    """A field of at most 25 bits of each entry."""
    place = np.arange(count, dtype=np.int64) * entry + offset
    at = place >> 3
    whole = held[at].astype(np.uint32)
    for index in (1, 2, 3):
        whole |= held[at + index].astype(np.uint32) << np.uint32(8 * index)
    field = (whole >> (place & 7).astype(np.uint32)) & np.uint32((1 << bits) - 1)
    small: NDArray[np.int32] = field.astype(np.int32)
    return small


def _owners(starts: NDArray[Any]) -> NDArray[np.int32]:
    """Whose each child is, of where each one's children start; the last start is their end."""
    counts = np.diff(starts.astype(np.int64)).astype(np.int64)
    return np.repeat(np.arange(len(starts) - 1, dtype=np.int32), counts)
