"""Reads misspelt words as the words of the lexicon they are closest to."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Set

from rapidfuzz import process
from rapidfuzz.distance import OSA

_SHORTEST = 4
_TWO_EDITS_FROM = 8
_LONGEST = 24
_MOST_READINGS = 3


class Slips:
    """Bounded edit distance (letters dropped, doubled, changed, swapped) over a closed list.

    A word of the list or of `ordinary` is never changed. Up to seven letters one edit is
    allowed, from eight letters two, provided that the first letter is right.
    """

    def __init__(self, words: Iterable[str], ordinary: Set[str]) -> None:
        self.words = {word for word in words if len(word) >= _SHORTEST and word.isalpha()}
        self._ordinary = ordinary
        self._short: dict[str, list[str]] = defaultdict(list)
        lengths: dict[tuple[str, int], list[str]] = defaultdict(list)
        for word in sorted(self.words):
            self._short[word].append(word)
            for shorter in _without_one(word):
                self._short[shorter].append(word)
            if len(word) >= _TWO_EDITS_FROM - 1:
                lengths[word[0], len(word)].append(word)
        self._long = {
            (first, length): [
                word
                for near in range(length - 2, length + 3)
                for word in lengths.get((first, near), ())
            ]
            for first in {word[:1] for word in self.words}
            for length in range(_TWO_EDITS_FROM, _LONGEST + 1)
        }

    def readings(self, word: str) -> tuple[str, ...]:
        """Returns the closest listed words, none when `word` may well be meant as it stands."""
        if word in self.words or word in self._ordinary:
            return ()
        if not _SHORTEST <= len(word) <= _LONGEST:
            return ()
        found = self._one_edit(word)
        if not found and len(word) >= _TWO_EDITS_FROM:
            found = self._two_edits(word)
        return tuple(found[:_MOST_READINGS])

    def split(self, word: str, parts: Set[str]) -> tuple[str, str] | None:
        """Returns the two words of `parts` that `word` runs together, the longest first one."""
        if word in self._ordinary or word in self.words or not 6 <= len(word) <= _LONGEST:
            return None
        for middle in range(len(word) - 2, 2, -1):
            if word[:middle] in parts and word[middle:] in parts:
                return word[:middle], word[middle:]
        return None

    def _one_edit(self, word: str) -> list[str]:
        near: dict[str, None] = {}
        for candidate in self._short.get(word, ()):
            near[candidate] = None
        for shorter in _without_one(word):
            for candidate in self._short.get(shorter, ()):
                near[candidate] = None
        return [
            candidate
            for candidate in near
            if OSA.distance(word, candidate, score_cutoff=1) <= 1
            and (len(word) > _SHORTEST or _is_safe_when_short(word, candidate))
        ]

    def _two_edits(self, word: str) -> list[str]:
        near = self._long.get((word[0], len(word)), ())
        found = process.extract_iter(word, near, scorer=OSA.distance, score_cutoff=2)
        return [one for one, _, _ in found]


def _is_safe_when_short(word: str, candidate: str) -> bool:
    """Four letters carry little: a swap or a lost letter counts, a changed letter does not."""
    return len(candidate) > len(word) or sorted(candidate) == sorted(word)


def _without_one(word: str) -> Iterator[str]:
    return (word[:i] + word[i + 1 :] for i in range(len(word)))
