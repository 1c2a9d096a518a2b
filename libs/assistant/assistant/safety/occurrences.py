"""Finds where the lexicon's concepts stand in a message."""

from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from heapq import heapify, heappop, heappush
from itertools import islice
from operator import attrgetter
from typing import NamedTuple

from assistant.safety.patterns import Compiled
from assistant.safety.words import Word

_LONGEST_PHRASE = 9
_LONGEST_RUN = 14
_MOST_PATHS = 24
_FEW = 8


class Occurrence(NamedTuple):
    """Something found at `tokens` (indices, ascending); `first` and `last` count the words
    that carry meaning; `flags` is what the context says against it, 0 for here and now."""

    first: int
    last: int
    sentence: int
    tokens: tuple[int, ...]
    flags: int = 0


_FIRST = attrgetter("first")
FLAGS = attrgetter("flags")

Leaf = tuple[tuple[str, ...], Occurrence]
"""The concepts that a phrase stands for, and where it is."""


class Finder:
    """All concepts of a compiled lexicon, found in one pass over the words."""

    def __init__(self, compiled: Compiled, *, complete: frozenset[str] = frozenset()) -> None:
        """Of `complete` concepts every place is wanted, not one that is certain."""
        nears = [(name, near) for name in compiled.order for near in compiled.near.get(name, ())]
        uses = Counter(part for _, near in nears for part in set(near.parts))
        self._near: list[_Neighbourhood] = []
        self._led: dict[str, list[tuple[int, str]]] = defaultdict(list)
        for number, (name, near) in enumerate(nears):
            # The part that fewest neighbourhoods share tells soonest that one is not there.
            lead, *others = sorted(set(near.parts), key=lambda part: (uses[part], part))
            # What no neighbourhood defines is there from the beginning or never.
            plain = next((part for part in others if part not in compiled.near), lead)
            self._led[lead].append((number, plain))
            steps = tuple(zip(near.parts[1:], near.gaps, near.ordered, strict=True))
            self._near.append(_Neighbourhood(name, near.parts[0], steps, tuple(others)))
        self._known = frozenset(compiled.order)
        # Of the names that a phrase stands for, those known here; no more keys than phrases.
        self._mine: dict[tuple[str, ...], tuple[str, ...]] = {}
        self._last = self._known - uses.keys() - complete
        self._root = _planted(compiled.phrases)

    def phrases(self, words: Sequence[Word]) -> list[Leaf]:
        """Returns every phrase of the lexicon in `words`, in order of their first word."""
        found: list[Leaf] = []
        first = self._root.next
        root = [(self._root, False, ())]
        for start, word in enumerate(words):
            if len(word.readings) > 1 or word.sounds:
                paths = _ended(_step(root, word), word, word, found)
            elif (node := first.get(word.readings[0])) is not None:
                paths = _ended([(node, False, (word.token,))], word, word, found)
            else:
                continue
            if paths and _goes_on(paths, words, start + 1):
                _walk(paths, words, start, found)
        return found

    def compose(self, leaves: Iterable[Leaf]) -> dict[str, list[Occurrence]]:
        """Returns all occurrences by concept, those made of other concepts included."""
        found: defaultdict[str, list[Occurrence]] = defaultdict(list)
        mine = self._mine
        for names, leaf in leaves:
            kept = mine.get(names)
            if kept is None:
                kept = mine[names] = tuple(name for name in names if name in self._known)
            for name in kept:
                found[name].append(leaf)
        composed = dict(found)
        self._grow(composed)
        return composed

    def _grow(self, found: dict[str, list[Occurrence]]) -> None:
        """A neighbourhood comes after all that define its parts, so the heap, which yields the
        lowest number first, joins only parts that are complete."""
        led = self._led
        due = [
            number for name in found if name in led for number, plain in led[name] if plain in found
        ]
        heapify(due)
        while due:
            near = self._near[heappop(due)]
            name = near.name
            if not all(map(found.__contains__, near.others)) or self._is_settled(name, found):
                continue
            made = _join(near, found)
            if not made:
                continue
            if name not in found:
                for number, plain in led.get(name, ()):
                    if plain in found or plain == name:
                        heappush(due, number)
            found[name] = sorted([*found.get(name, ()), *made], key=_FIRST)

    def _is_settled(self, name: str, found: Mapping[str, list[Occurrence]]) -> bool:
        """Where nothing is built on a concept, one place where it is certain is enough."""
        return name in self._last and name in found and not all(map(FLAGS, found[name]))


class _Node(NamedTuple):
    """A place in the tree of phrases: what ends here and how it goes on."""

    names: tuple[str, ...]
    next: dict[str, "_Node"]


class _Neighbourhood(NamedTuple):
    """A neighbourhood of concept `name` in the order in which it is looked for: from `first`
    on, each part with its gap and whether it must follow. `others` are needed beside the lead."""

    name: str
    first: str
    steps: tuple[tuple[str, int, bool], ...]
    others: tuple[str, ...]


def _planted(phrases: Mapping[str, Iterable[Sequence[str]]]) -> _Node:
    names: dict[Sequence[str], list[str]] = defaultdict(list)
    for name, forms in phrases.items():
        for form in forms:
            names[form].append(name)
    root = _Node((), {})
    for form in sorted(names, key=len):
        node = root
        for word in form[:-1]:
            node = node.next.setdefault(word, _Node((), {}))
        node.next[form[-1]] = _Node(tuple(names[form]), {})
    return root


_Path = tuple[_Node, bool, tuple[int, ...]]


def _walk(paths: list[_Path], words: Sequence[Word], start: int, found: list[Leaf]) -> None:
    """Follows the paths that the word at `start` has opened as far as the words go."""
    begin = word = words[start]
    for following in islice(words, start + 1, start + _LONGEST_RUN):
        if following.sentence != begin.sentence or following.place > word.place + 1:
            return  # no phrase runs over the end of a sentence or over a comma
        word = following
        taken = _ended(_step(paths, word), begin, word, found)
        paths = taken + paths if word.is_filler else taken
        if not paths:
            return


def _goes_on(paths: Sequence[_Path], words: Sequence[Word], at: int) -> bool:
    """Whether the word at `at`, or the next that is no filler, may be on one of the paths."""
    onward = paths[0][0].next
    for _, _, _, readings, sounds, is_filler in islice(words, at, at + _LONGEST_RUN):
        if readings[0] in onward or sounds or len(readings) > 1 or len(paths) > 1:
            return True
        if not is_filler:
            return False
    return False


def _ended(taken: Sequence[_Path], begin: Word, end: Word, found: list[Leaf]) -> list[_Path]:
    """Adds the phrases that end here to `found`; returns the paths that go on."""
    onward: list[_Path] = []
    for path in taken:
        node, weak, tokens = path
        if node.names and not (weak and len(tokens) == 1):
            found.append((node.names, Occurrence(begin.place, end.place, begin.sentence, tokens)))
        if node.next:
            onward.append(path)
    return onward


def _step(paths: Sequence[_Path], word: Word) -> list[_Path]:
    taken: list[_Path] = []
    for node, weak, tokens in paths:
        onward = node.next
        reached = tokens if word.token in tokens else (*tokens, word.token)
        for key in word.readings:
            if key in onward:
                taken.append((onward[key], weak, reached))
        for key in word.sounds:
            if key in onward:
                taken.append((onward[key], True, reached))
    return taken[:_MOST_PATHS]


def _join(near: _Neighbourhood, found: Mapping[str, list[Occurrence]]) -> list[Occurrence]:
    chains = found[near.first]
    for part, gap, ordered in near.steps:
        others = found[part]
        longer: dict[Occurrence, None] = {}
        for chain in chains:
            one = _closest(chain, others, gap, ordered)
            if one is not None:
                longer[one] = None
        if not longer:
            return []
        chains = list(longer)
    return chains


def _closest(
    chain: Occurrence, others: Sequence[Occurrence], gap: int, ordered: bool
) -> Occurrence | None:
    """Joins the chain with the least doubtful of the others within reach, the nearest first."""
    first, last, sentence, tokens, _ = chain
    lowest = first if ordered else first - gap - _LONGEST_PHRASE
    best: tuple[int, int] | None = None
    found: Occurrence | None = None
    highest = last + gap + 1
    start = 0 if len(others) < _FEW else bisect_left(others, lowest, key=_FIRST)
    for at in range(start, len(others)):
        other = others[at]
        if other.sentence != sentence or not lowest <= other.first <= highest:
            if other.first > highest:
                break
            continue
        if ordered and other.first < last:
            continue
        # -1 for none between them, and for one that stands in a gap of the other.
        between = max(other.first - last, first - other.last, 0) - 1
        if between > gap:
            continue
        # A filler shares the place of the word before it and may begin the next part.
        if between < 0 and not set(tokens).isdisjoint(other.tokens):
            continue
        rank = (other.flags.bit_count(), between)
        if best is None or rank < best:
            best, found = rank, other
    return None if found is None else _merged(chain, found)


def _merged(one: Occurrence, other: Occurrence) -> Occurrence:
    return Occurrence(
        min(one.first, other.first),
        max(one.last, other.last),
        one.sentence,
        tuple(sorted({*one.tokens, *other.tokens})),
        one.flags | other.flags,
    )
