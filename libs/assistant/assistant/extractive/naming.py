"""Finds the names of conditions, medicines and topics that stand in a question."""

from collections.abc import Sequence
from dataclasses import dataclass

from assistant.extractive import lexicon, pages

_NOT_TELLING = "a an the of in on at and or my your his her i to is are for with from it"
_EMPTY = frozenset(_NOT_TELLING.split())


@dataclass(frozen=True, slots=True)
class Span:
    """Words `start` to `end` of a question are a name; `owners` are the pages that carry it."""

    start: int
    end: int
    name: lexicon.Name
    owners: frozenset[int]
    medicine: bool


def telling(name: lexicon.Name) -> tuple[str, ...]:
    """The words of a name that must be found; all of them when none tells anything."""
    return tuple(word for word in name if word not in _EMPTY) or name


class Names:
    """All names by their first word."""

    def __init__(self, shelf: pages.Shelf) -> None:
        owners: dict[lexicon.Name, set[int]] = {}
        for page in shelf.pages:
            for name in page.names:
                owners.setdefault(name, set()).add(page.number)
        medicines = shelf.lexicon.medicines
        self._by_first: dict[str, list[tuple[lexicon.Name, frozenset[int], bool]]] = {}
        for name in sorted({*owners, *shelf.lexicon.conditions, *medicines}):
            entry = (name, frozenset(owners.get(name, ())), name in medicines)
            self._by_first.setdefault(name[0], []).append(entry)
        for entries in self._by_first.values():
            entries.sort(key=lambda entry: -len(entry[0]))

    def find(self, words: Sequence[str]) -> list[Span]:
        """The names in `words`, longest first at each place, none over another."""
        found: list[Span] = []
        at = 0
        while at < len(words):
            span = self._longest(words, at)
            if span is not None:
                found.append(span)
            at = span.end if span else at + 1
        return found

    def _longest(self, words: Sequence[str], at: int) -> Span | None:
        for name, owners, medicine in self._by_first.get(words[at], ()):
            if tuple(words[at : at + len(name)]) == name:
                return Span(at, at + len(name), name, owners, medicine)
        return None


def places(words: Sequence[str], name: lexicon.Name) -> set[int]:
    """The places in `words` that a run of `name` takes up."""
    if not name or name[0] not in words:
        return set()
    size = len(name)
    starts = [at for at in range(len(words) - size + 1) if tuple(words[at : at + size]) == name]
    return {at + step for at in starts for step in range(size)}
