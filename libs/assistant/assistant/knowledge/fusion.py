"""Two lists of scores made one: each stretched to 0..1 over its best, then weighted."""

import numpy as np
from numpy.typing import NDArray

Ids = NDArray[np.int64]
Scores = NDArray[np.float32]
Ranked = tuple[Ids, Scores]  # ids and their scores, both of shape (found,)

NONE: Ranked = (np.empty(0, dtype=np.int64), np.empty(0, dtype=np.float32))


def best(scores: Scores, pool: int) -> Ranked:
    """The ids of the `pool` highest scores above 0, and these scores; in no order."""
    ids = np.flatnonzero(scores > 0)
    found = scores[ids]
    if len(ids) > pool:
        top = np.argpartition(found, len(found) - pool)[-pool:]
        ids, found = ids[top], found[top]
    return ids, found


def stretch(scores: Scores, *, complete: bool) -> Scores:
    """Scores mapped to 0..1; the lowest becomes 0, or stays above it in an incomplete list.

    A list shorter than the pool has nothing below its last entry that was left out, so there the
    scale begins at 0 (or below, when a score is negative).
    """
    if not len(scores):
        return scores
    low = float(scores.min()) if complete else min(0.0, float(scores.min()))
    width = float(scores.max()) - low
    if width <= 1e-9:
        return np.ones_like(scores)
    return (scores - np.float32(low)) / np.float32(width)


def fuse(dense: Ranked, words: Ranked, pool: int, dense_weight: float) -> Ranked:
    """Both lists as one, best first, ties in the order of ids; what only one has gets 0 there.

    When one list is empty the other stands alone.
    """
    weight = 1.0 if not len(words[0]) else 0.0 if not len(dense[0]) else dense_weight
    ids = np.sort(np.concatenate((dense[0], words[0])))
    ids = ids[np.diff(ids, prepend=-1) > 0]  # np.unique imports numpy.ma, 50 ms at the first search
    total = np.zeros(len(ids), dtype=np.float32)
    for (found, scores), share in ((dense, weight), (words, 1.0 - weight)):
        at = np.searchsorted(ids, found)
        total[at] += np.float32(share) * stretch(scores, complete=len(found) >= pool)
    order = np.argsort(-total, kind="stable")
    return ids[order], np.clip(total[order], 0.0, 1.0)
