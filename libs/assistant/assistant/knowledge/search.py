"""Searching an opened index: by meaning and by words, the two scores fused."""

import hashlib
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from assistant.knowledge import cards, fusion, lexical, records, vectors
from assistant.knowledge.cards import Card
from assistant.knowledge.corpus import Document, Part
from assistant.knowledge.encoder import Encoder
from assistant.knowledge.settings import Ranking

MAX_QUERY = 4_000  # characters; the rest of a longer query is not searched for


@dataclass(frozen=True, slots=True)
class Passage:
    """What a search finds: `document.body[start:end] == text`, offsets in code points."""

    id: int
    document_id: str
    title: str
    heading: str
    text: str
    start: int
    end: int
    source: str
    url: str
    searched: bool = True  # whether the heading was searched too


@dataclass(frozen=True, slots=True)
class Hit:
    """A found passage: `score` fused, 0 to 1; `dense` a cosine; `lexical` BM25, from 0."""

    passage: Passage
    score: float
    dense: float
    lexical: float


@dataclass(frozen=True, slots=True)
class Stats:
    """How much an index holds, and what searches it."""

    cards: int
    documents: int
    passages: int
    encoder: str
    dimension: int


def document_key(document_id: str) -> int:
    """A 63-bit hash of a document's id, by which its row is found without reading all ids."""
    digest = hashlib.blake2b(document_id.encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") >> 1


class Library:
    """An opened index, memory-mapped, safe to search from several threads.

    Open one by `index.open_or_build` or `index.open_index`, which check that it fits `encoder`.
    """

    def __init__(
        self,
        folder: Path,
        encoder: Encoder,
        *,
        ranking: Ranking | None = None,
    ) -> None:
        self.encoder = encoder
        self.cards: Mapping[str, Card] = MappingProxyType(_cards(folder / "cards"))
        self._ranking = ranking or Ranking()
        self._vectors = vectors.VectorIndex(folder / "vectors.faiss")
        self._words = lexical.WordIndex(folder / "lexical", self._vectors.size)
        self._passages = records.Records(folder / "passages")
        self._documents = records.Records(folder / "documents")
        self._firsts = _array(folder / "firsts.npy")
        self._keys = _array(folder / "keys.npy")

    def search(
        self, query: str, k: int = 5, *, documents: Collection[str] | None = None
    ) -> list[Hit]:
        """The `k` best passages, best first; only from `documents` (ids) when these are given.

        An empty query, one without any known word, or `k` below 1 finds nothing.
        """
        query = query[:MAX_QUERY]
        mask = None if documents is None else self._mask(documents)
        if k < 1 or not query.strip() or (mask is not None and not mask.any()):
            return []
        vector = self.encoder.encode([query])[0]
        pool = max(self._ranking.pool, k)
        dense = fusion.NONE
        if vector.any():
            dense = self._vectors.search(vector, pool, mask)
        words = self._words.scores(query)
        best = fusion.best(words if mask is None else words * mask, pool)
        ids, scores = fusion.fuse(dense, best, pool, self._ranking.dense_weight)
        return [
            Hit(
                self.passage(int(at)),
                float(score),
                self._vectors.product(vector, int(at)),
                float(words[at]),
            )
            for at, score in zip(ids[:k], scores[:k], strict=True)
        ]

    def passage(self, passage_id: int) -> Passage:
        """The passage with this id; IndexError when there is none."""
        return Passage(*self._passages[passage_id])

    def neighbours(self, passage: Passage, reach: int = 1) -> list[Passage]:
        """`passage` with those up to `reach` before and after it in its document, in order."""
        row = self._row(passage.document_id)
        if row is None:
            return [passage]
        low = max(int(self._firsts[row]), passage.id - reach)
        high = min(int(self._firsts[row + 1]), passage.id + reach + 1)
        return [self.passage(at) for at in range(low, high)]

    def document(self, document_id: str) -> Document | None:
        """The whole document, or None when the index has none with this id."""
        row = self._row(document_id)
        if row is None:
            return None
        fields = self._documents[row]
        parts = tuple(Part(**part) for part in fields.pop("parts"))
        return Document(parts=parts, names=tuple(fields.pop("names")), **fields)

    def stats(self) -> Stats:
        """How much there is."""
        return Stats(
            cards=len(self.cards),
            documents=len(self._documents),
            passages=self._vectors.size,
            encoder=self.encoder.name,
            dimension=self.encoder.dimension,
        )

    def _row(self, document_id: str) -> int | None:
        wanted = document_key(document_id)
        at = int(np.searchsorted(self._keys[:, 0], np.uint64(wanted)))
        if at >= len(self._keys) or int(self._keys[at, 0]) != wanted:
            return None
        row = int(self._keys[at, 1])
        return row if self._documents[row]["id"] == document_id else None

    def _mask(self, documents: Collection[str]) -> NDArray[np.bool_]:
        mask = np.zeros(self._vectors.size, dtype=np.bool_)
        for document_id in documents:
            row = self._row(document_id)
            if row is not None:
                mask[int(self._firsts[row]) : int(self._firsts[row + 1])] = True
        return mask


def _cards(path: Path) -> dict[str, Card]:
    found = records.Records(path)
    every = (cards.from_fields(found[at]) for at in range(len(found)))
    return {card.id: card for card in every}


def _array(path: Path) -> NDArray[np.int64]:
    return np.asarray(np.load(path, mmap_mode="r", allow_pickle=False))
