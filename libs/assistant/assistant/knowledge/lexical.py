"""Search by words: BM25 over titles and passages, stemmed, without words that say nothing."""

import re
import threading
from collections.abc import Iterable
from pathlib import Path

import bm25s
import numpy as np
import Stemmer
from numpy.typing import NDArray

from assistant.knowledge.settings import Lexical

Scores = NDArray[np.float32]

_WORD = re.compile(r"[^\W_]+")
_STOP_WORDS = frozenset(
    """
    a an and any are as at be been being but by can could did do does doing for from get give had
    has have having how i if in into is it its me my no not of on or our please s should so such t
    tell than that the their them then there these they this to was we were what when where which
    who whom why will with would you your am about
    """.split()  # noqa: SIM905 - a paragraph reads better than a list of eighty
)
_own = threading.local()  # a stemmer must not be shared by threads


def tokens(text: str) -> list[str]:
    """The stems of the words of `text` that carry meaning, in order."""
    if not hasattr(_own, "stemmer"):
        _own.stemmer = Stemmer.Stemmer("english")
    found = [word for word in _WORD.findall(text.lower()) if word not in _STOP_WORDS]
    return list(_own.stemmer.stemWords(found))


def build(passages: Iterable[tuple[str, str]], into: Path, settings: Lexical) -> None:
    """Write an index of (title, text) pairs into the folder `into`, which may not exist yet."""
    corpus = [tokens(title) * settings.title_repeats + tokens(text) for title, text in passages]
    model = bm25s.BM25(k1=settings.k1, b=settings.b)
    if not any(corpus):
        corpus = [["\0"], *corpus[1:]]  # bm25s cannot index nothing; no query has this word
    model.index(corpus, show_progress=False)
    model.save(into, show_progress=False)


class WordIndex:
    """A BM25 index in memory maps; safe to read from several threads."""

    def __init__(self, folder: Path, size: int) -> None:
        self._model = bm25s.BM25.load(folder, mmap=True, show_progress=False)
        # Plain arrays over the same maps: slices of numpy's memmap class cost ten times as much.
        self._model.scores |= {
            key: np.asarray(self._model.scores[key]) for key in ("data", "indices", "indptr")
        }
        self._size = size

    def scores(self, query: str) -> Scores:
        """The BM25 score of every passage, shape (passages,); zeros for a query without words."""
        known = self._model.get_tokens_ids(tokens(query))
        if not known:
            return np.zeros(self._size, dtype=np.float32)
        found = np.asarray(self._model.get_scores_from_ids(known), dtype=np.float32)
        assert found.shape == (self._size,)
        return found if np.isfinite(found).all() else np.nan_to_num(found)
