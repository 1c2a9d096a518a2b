"""The cards' sections as passages: vectors with their title in them, and BM25 weights."""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from assistant.knowledge.encoder import Encoder

TITLE_WEIGHT = 0.8
_K1, _B = 1.2, 0.75

Scores = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Passage:
    """One section: the page it is of, its title and text, and how often it has which stem."""

    page: int
    title: str
    text: str
    bag: Counter[str]


class Passages:
    """All sections, in the order of the pages."""

    def __init__(self, found: Sequence[Passage], encoder: Encoder) -> None:
        self._rows = _vectors(found, encoder)
        self._postings = _bm25([passage.bag for passage in found])
        first = {passage.page: at for at, passage in reversed(list(enumerate(found)))}
        self._starts = np.asarray([first[page] for page in sorted(first)], dtype=np.intp)

    def dense(self, vector: Scores) -> Scores:
        """The cosine of each passage with a question's vector, of shape (passages,)."""
        scores: Scores = self._rows @ vector
        return scores

    def lexical(self, stems: Sequence[str]) -> Scores:
        """The BM25 score of each passage for a question's stems, of shape (passages,)."""
        scores = np.zeros(len(self._rows), dtype=np.float32)
        for stem in stems:
            if stem in self._postings:
                rows, weights = self._postings[stem]
                scores[rows] += weights
        return scores

    def best(self, scores: Scores) -> Scores:
        """The highest score of each page's passages, of shape (pages,)."""
        highest: Scores = np.maximum.reduceat(scores, self._starts)
        return highest


def _vectors(found: Sequence[Passage], encoder: Encoder) -> Scores:
    titles = list(dict.fromkeys(passage.title for passage in found))
    places = {title: at for at, title in enumerate(titles)}
    bodies = encoder.encode([f"{passage.title}\n{passage.text}" for passage in found])
    heads = encoder.encode(titles)
    rows = bodies.copy()
    for at, passage in enumerate(found):
        rows[at] += TITLE_WEIGHT * heads[places[passage.title]]
    lengths = np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-9)
    unit: Scores = (rows / lengths).astype(np.float32)
    return unit


def _bm25(bags: Sequence[Counter[str]]) -> dict[str, tuple[NDArray[np.intp], Scores]]:
    sizes = np.asarray([max(1, bag.total()) for bag in bags], dtype=np.float32)
    mean = float(sizes.mean()) if len(sizes) else 1.0
    places: dict[str, tuple[list[int], list[int]]] = {}
    for at, bag in enumerate(bags):
        for stem, times in bag.items():
            rows, often = places.setdefault(stem, ([], []))
            rows.append(at)
            often.append(times)
    lengths = _K1 * (1 - _B + _B * sizes / mean)
    weights = {}
    for stem, (rows, often) in places.items():
        held = np.asarray(rows, dtype=np.intp)
        times_ = np.asarray(often, dtype=np.float32)
        idf = math.log(1 + (len(bags) - len(rows) + 0.5) / (len(rows) + 0.5))
        scored: Scores = (idf * times_ * (_K1 + 1) / (times_ + lengths[held])).astype(np.float32)
        weights[stem] = (held, scored)
    return weights
