"""Finds the small phrases that tell how the words around them are meant."""

from bisect import bisect_left
from collections.abc import Collection, Mapping, Sequence

_YEARS = tuple(map(str, range(1920, 2100)))


class Cues:
    """Kinds of cue phrases; each phrase is a run of plain words."""

    def __init__(self, phrases: Mapping[str, Collection[str]]) -> None:
        phrases = {**phrases, "year": _YEARS}
        self._kinds = tuple(phrases)
        self._single: dict[str, list[str]] = {}
        self._longer: dict[tuple[str, str], list[tuple[str, tuple[str, ...]]]] = {}
        for kind, entries in phrases.items():
            for entry in entries:
                words = tuple(entry.split())
                if len(words) == 1:
                    self._single.setdefault(words[0], []).append(kind)
                else:
                    self._longer.setdefault((words[0], words[1]), []).append((kind, words))

    def find(self, words: Sequence[str]) -> "FoundCues":
        """Finds the cue phrases of all kinds in `words`."""
        found: dict[str, dict[int, int]] = {kind: {} for kind in self._kinds}
        for at, pair in enumerate(zip(words, [*words[1:], ""], strict=False)):
            for kind in self._single.get(pair[0], ()):
                found[kind][at] = 1
            for kind, phrase in self._longer.get(pair, ()):
                if tuple(words[at : at + len(phrase)]) == phrase:
                    found[kind][at] = max(len(phrase), found[kind].get(at, 0))
        return FoundCues(found)


class FoundCues:
    """Where cues of each kind begin in one message, and how many words they take."""

    def __init__(self, found: Mapping[str, Mapping[int, int]]) -> None:
        self._found = found
        self._starts = {kind: list(lengths) for kind, lengths in found.items()}

    def length(self, kind: str, at: int) -> int:
        """Returns the number of words of the longest phrase of `kind` at `at`, 0 for none."""
        return self._found[kind].get(at, 0)

    def starts(self, *kinds: str) -> list[int]:
        """Returns where phrases of any of `kinds` begin, in order."""
        return sorted({at for kind in kinds for at in self._starts[kind]})

    def first(self, kind: str, start: int, end: int) -> int | None:
        """Returns where the first phrase of `kind` in `start` to `end` begins."""
        starts = self._starts[kind]
        at = bisect_left(starts, start)
        return starts[at] if at < len(starts) and starts[at] < end else None
