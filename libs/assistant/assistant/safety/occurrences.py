"""Finds where the lexicon's concepts stand in a message."""

from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from heapq import heapify, heappop, heappush
from operator import attrgetter
from typing import Any, NamedTuple

from assistant.safety import stems
from assistant.safety.patterns import Compiled, Near
from assistant.safety.tokens import Kind, Token

_END = ""
_LONGEST_PHRASE = 9
_LONGEST_RUN = 14
_COMMA_WEIGHT = 3
_MOST_PATHS = 24


class Occurrence(NamedTuple):
    """Something found at `tokens` (indices, ascending); `first` and `last` count the words
    that carry meaning; `flags` is what the context says against it, 0 for here and now."""

    first: int
    last: int
    sentence: int
    tokens: tuple[int, ...]
    flags: int = 0


class Word(NamedTuple):
    """A word as it may be read: the token it came from, its sentence, its keys.

    `place` counts words that carry meaning; a filler shares the place of the word before it.
    `sounds` are keys that merely sound alike and count only inside a longer phrase.
    """

    token: int
    sentence: int
    place: int
    readings: tuple[str, ...]
    sounds: tuple[str, ...] = ()
    is_filler: bool = False


Leaf = tuple[Sequence[str], Occurrence]
"""The concepts that a phrase stands for, and where it is."""


class Reader:
    """Turns tokens into significant words, reading slips, run-together words and homophones."""

    def __init__(
        self,
        *,
        key: Callable[[str], str],
        keys: frozenset[str],
        fillers: frozenset[str],
        repair: Callable[[str], Iterable[Sequence[str]]],
        sounds: Mapping[str, tuple[str, ...]],
    ) -> None:
        self._key = key
        self._keys = keys
        self._fillers = fillers
        self._repair = repair
        self._sounds = sounds

    def read(self, tokens: Sequence[Token]) -> tuple[list[Word], list[Token]]:
        """Returns the words in order, commas and signs left out, and the tokens, slips mended."""
        mended = list(tokens)
        words: list[Word] = []
        sentence = place = 0
        for index, token in enumerate(tokens):
            if token.kind is Kind.STOP:
                sentence += 1
            elif token.kind is Kind.COMMA:
                place += _COMMA_WEIGHT
            elif token.word in self._fillers:
                filler = (self._key(token.word),)
                words.append(Word(index, sentence, place, filler, is_filler=True))
            elif token.kind in (Kind.WORD, Kind.NUMBER):
                readings, sounds, meant = self._readings(token.word)
                if meant:
                    mended[index] = token._replace(word=meant)
                for keys in readings:
                    place += 1
                    words.append(Word(index, sentence, place, keys, sounds))
        return words, mended

    def _readings(self, word: str) -> tuple[list[tuple[str, ...]], tuple[str, ...], str]:
        """Returns the keys of each word read, what they sound like, and the word meant."""
        key = self._key(word)
        sounds = self._sounds.get(word, ())
        if key in self._keys or sounds:
            return [(key, *self._exact(word))], sounds, ""
        repaired = list(self._repair(word))
        if not repaired:
            return [(key,)], (), ""
        if len(repaired[0]) > 1:
            kept = [part for part in repaired[0] if part not in self._fillers]
            return [(self._key(part),) for part in kept], (), ""
        keys = dict.fromkeys(self._key(reading[0]) for reading in repaired)
        exact = (one for reading in repaired for one in self._exact(reading[0]))
        return [(*keys, *exact)], (), repaired[0][0]

    def _exact(self, word: str) -> tuple[str, ...]:
        """The key of just this form of the word, where the lexicon asks for it."""
        key = stems.EXACT + word
        return (key,) if key in self._keys else ()


class Finder:
    """All concepts of a compiled lexicon, found in one pass over the words."""

    def __init__(self, compiled: Compiled, *, complete: frozenset[str] = frozenset()) -> None:
        """Of `complete` concepts every place is wanted, not one that is certain."""
        self._trie: dict[str, Any] = {}
        nears = [(name, near) for name in compiled.order for near in compiled.near.get(name, ())]
        uses = Counter(part for _, near in nears for part in set(near.parts))
        self._near: list[tuple[str, Near, tuple[str, ...]]] = []
        self._led: dict[str, list[int]] = defaultdict(list)
        for number, (name, near) in enumerate(nears):
            # The part that fewest neighbourhoods share tells soonest that one is not there.
            lead, *others = sorted(set(near.parts), key=lambda part: (uses[part], part))
            self._led[lead].append(number)
            self._near.append((name, near, tuple(others)))
        parts = uses.keys()
        self._last = frozenset(compiled.order) - parts - complete
        for name, phrases in compiled.phrases.items():
            for phrase in phrases:
                node = self._trie
                for word in phrase:
                    node = node.setdefault(word, {})
                node.setdefault(_END, []).append(name)

    def phrases(self, words: Sequence[Word]) -> list[Leaf]:
        """Returns every phrase of the lexicon in `words`, in order of their first word."""
        found: list[Leaf] = []
        root = self._trie
        for start, word in enumerate(words):
            if word.readings[0] in root or word.sounds or len(word.readings) > 1:
                self._walk(words, start, found)
        return found

    def _walk(self, words: Sequence[Word], start: int, found: list[Leaf]) -> None:
        paths: list[_Path] = [(self._trie, False, ())]
        begin = words[start]
        reached = begin.place
        for at in range(start, min(len(words), start + _LONGEST_RUN)):
            word = words[at]
            if word.sentence != begin.sentence or word.place > reached + 1:
                return  # no phrase runs over the end of a sentence or over a comma
            reached = word.place
            taken = _step(paths, word)
            for node, weak, tokens in taken:
                if _END in node and not (weak and len(tokens) == 1):
                    one = Occurrence(begin.place, word.place, word.sentence, tokens)
                    found.append((node[_END], one))
            paths = [*taken, *paths] if word.is_filler and at > start else taken
            if not paths:
                return

    def compose(self, leaves: Iterable[Leaf]) -> dict[str, list[Occurrence]]:
        """Returns all occurrences by concept, those made of other concepts included."""
        found: dict[str, list[Occurrence]] = {}
        for names, leaf in leaves:
            for name in names:
                found.setdefault(name, []).append(leaf)
        self._grow(found)
        return found

    def _grow(self, found: dict[str, list[Occurrence]]) -> None:
        """A neighbourhood comes after all that define its parts, so the heap, which yields the
        lowest number first, joins only parts that are complete."""
        due = [number for name in found for number in self._led.get(name, ())]
        heapify(due)
        while due:
            name, near, others = self._near[heappop(due)]
            if any(part not in found for part in others) or self._is_settled(name, found):
                continue
            made = _join(near, found)
            if not made:
                continue
            if name not in found:
                for number in self._led.get(name, ()):
                    heappush(due, number)
            found[name] = sorted([*found.get(name, ()), *made], key=attrgetter("first"))

    def _is_settled(self, name: str, found: Mapping[str, list[Occurrence]]) -> bool:
        """Where nothing is built on a concept, one place where it is certain is enough."""
        return name in self._last and any(not one.flags for one in found.get(name, ()))


_Path = tuple[dict[str, Any], bool, tuple[int, ...]]


def _step(paths: Sequence[_Path], word: Word) -> list[_Path]:
    taken: list[_Path] = []
    for node, weak, tokens in paths:
        reached = tokens if word.token in tokens else (*tokens, word.token)
        for key in word.readings:
            if key in node:
                taken.append((node[key], weak, reached))
        for key in word.sounds:
            if key in node:
                taken.append((node[key], True, reached))
    return taken[:_MOST_PATHS]


def _join(near: Near, found: Mapping[str, list[Occurrence]]) -> list[Occurrence]:
    chains = found[near.parts[0]]
    for part, gap, ordered in zip(near.parts[1:], near.gaps, near.ordered, strict=True):
        others = found[part]
        firsts = [one.first for one in others]
        longer = (_closest(chain, others, firsts, gap, ordered) for chain in chains)
        chains = list(dict.fromkeys(chain for chain in longer if chain is not None))
        if not chains:
            break
    return chains


def _closest(
    chain: Occurrence,
    others: Sequence[Occurrence],
    firsts: Sequence[int],
    gap: int,
    ordered: bool,
) -> Occurrence | None:
    """Joins the chain with the least doubtful of the others within reach, the nearest first."""
    lowest = chain.first if ordered else chain.first - gap - _LONGEST_PHRASE
    best: tuple[int, int, Occurrence] | None = None
    for at in range(bisect_left(firsts, lowest), len(others)):
        other = others[at]
        if other.first > chain.last + gap + 1:
            break
        if ordered and other.first < chain.last:
            continue
        # -1 for none between them, and for one that stands in a gap of the other.
        between = max(other.first - chain.last, chain.first - other.last, 0) - 1
        if between > gap:
            continue
        # A filler shares the place of the word before it and may begin the next part.
        if between < 0 and not set(chain.tokens).isdisjoint(other.tokens):
            continue
        if other.sentence != chain.sentence:
            continue
        if best is None or (other.flags.bit_count(), between) < best[:2]:
            best = (other.flags.bit_count(), between, other)
    return None if best is None else _merged(chain, best[2])


def _merged(one: Occurrence, other: Occurrence) -> Occurrence:
    return Occurrence(
        min(one.first, other.first),
        max(one.last, other.last),
        one.sentence,
        tuple(sorted({*one.tokens, *other.tokens})),
        one.flags | other.flags,
    )
