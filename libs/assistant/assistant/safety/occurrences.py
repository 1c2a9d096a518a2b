"""Finds where the lexicon's concepts stand in a message."""

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import Any

from assistant.safety.patterns import Compiled, Near
from assistant.safety.tokens import Kind, Token

_END = ""
_LONGEST_PHRASE = 9
_MOST_PATHS = 24


@dataclass(frozen=True, slots=True)
class Occurrence:
    """A concept at tokens `tokens` (indices, ascending); `first` and `last` count significant
    words; `flags` is what the context says against it, 0 when it is asserted here and now."""

    concept: str
    first: int
    last: int
    tokens: tuple[int, ...]
    flags: int = 0


@dataclass(frozen=True, slots=True)
class Word:
    """A significant word: the token it came from, its sentence, its readings.

    `readings` are keys; `sounds` are keys that merely sound alike and count only inside a
    longer phrase.
    """

    token: int
    sentence: int
    readings: tuple[str, ...]
    sounds: tuple[str, ...] = ()


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

    def read(self, tokens: Sequence[Token]) -> list[Word]:
        """Returns the significant words in order; fillers, commas and signs are left out."""
        words: list[Word] = []
        sentence = 0
        for index, token in enumerate(tokens):
            if token.kind is Kind.STOP:
                sentence += 1
            elif token.kind in (Kind.WORD, Kind.NUMBER) and token.word not in self._fillers:
                words.extend(self._readings(index, sentence, token.word))
        return words

    def _readings(self, index: int, sentence: int, word: str) -> list[Word]:
        key = self._key(word)
        sounds = self._sounds.get(word, ())
        if key in self._keys or sounds:
            return [Word(index, sentence, (key,), sounds)]
        repaired = list(self._repair(word))
        if repaired and len(repaired[0]) > 1:
            kept = [part for part in repaired[0] if part not in self._fillers]
            return [Word(index, sentence, (self._key(part),)) for part in kept]
        keys = dict.fromkeys(self._key(reading[0]) for reading in repaired)
        return [Word(index, sentence, (*keys,) or (key,))]


class Finder:
    """All concepts of a compiled lexicon, found in one pass over the words."""

    def __init__(self, compiled: Compiled) -> None:
        self._trie: dict[str, Any] = {}
        self._near = [(name, compiled.near[name]) for name in compiled.order if name in compiled.near]
        for name, phrases in compiled.phrases.items():
            for phrase in phrases:
                node = self._trie
                for word in phrase:
                    node = node.setdefault(word, {})
                node.setdefault(_END, []).append(name)

    def phrases(self, words: Sequence[Word]) -> list[Occurrence]:
        """Returns every phrase of the lexicon in `words`, in order of their first word."""
        found: list[Occurrence] = []
        for start in range(len(words)):
            self._walk(words, start, found)
        return found

    def _walk(self, words: Sequence[Word], start: int, found: list[Occurrence]) -> None:
        paths: list[tuple[dict[str, Any], bool]] = [(self._trie, False)]
        sentence = words[start].sentence
        for at in range(start, min(len(words), start + _LONGEST_PHRASE)):
            word = words[at]
            if word.sentence != sentence:
                return
            paths = _step(paths, word)
            if not paths:
                return
            for node, weak in paths:
                if _END in node and not (weak and at == start):
                    tokens = tuple(dict.fromkeys(one.token for one in words[start : at + 1]))
                    found.extend(Occurrence(name, start, at, tokens) for name in node[_END])

    def compose(
        self, leaves: Iterable[Occurrence], words: Sequence[Word]
    ) -> dict[str, list[Occurrence]]:
        """Returns all occurrences by concept, those made of other concepts included."""
        found: dict[str, list[Occurrence]] = defaultdict(list)
        for leaf in leaves:
            found[leaf.concept].append(leaf)
        for name, neighbourhoods in self._near:
            made = [one for near in neighbourhoods for one in _join(name, near, found, words)]
            if made:
                found[name] = sorted([*found.get(name, ()), *made], key=attrgetter("first"))
        return found


def _step(paths: list[tuple[dict[str, Any], bool]], word: Word) -> list[tuple[dict[str, Any], bool]]:
    taken: list[tuple[dict[str, Any], bool]] = []
    for node, weak in paths:
        for key in word.readings:
            if key in node:
                taken.append((node[key], weak))
        for key in word.sounds:
            if key in node:
                taken.append((node[key], True))
    return taken[:_MOST_PATHS]


def _join(
    name: str, near: Near, found: Mapping[str, list[Occurrence]], words: Sequence[Word]
) -> list[Occurrence]:
    if not all(found.get(part) for part in near.parts):
        return []
    chains = [
        Occurrence(name, one.first, one.last, one.tokens, one.flags)
        for one in found[near.parts[0]]
    ]
    for part, gap, ordered in zip(near.parts[1:], near.gaps, near.ordered, strict=True):
        others = found[part]
        firsts = [one.first for one in others]
        longer = (_closest(chain, others, firsts, gap, ordered, words) for chain in chains)
        chains = [chain for chain in longer if chain is not None]
    return chains


def _closest(
    chain: Occurrence,
    others: Sequence[Occurrence],
    firsts: Sequence[int],
    gap: int,
    ordered: bool,
    words: Sequence[Word],
) -> Occurrence | None:
    """Joins the chain with the least doubtful of the others within reach, the nearest first."""
    lowest = chain.first if ordered else chain.first - gap - _LONGEST_PHRASE
    best: tuple[int, int, Occurrence] | None = None
    for at in range(bisect_left(firsts, lowest), len(others)):
        other = others[at]
        if other.first > chain.last + gap + 1:
            break
        between = max(other.first - chain.last, chain.first - other.last) - 1
        if not 0 <= between <= gap or (ordered and other.first < chain.last):
            continue
        if words[other.first].sentence != words[chain.first].sentence:
            continue
        if best is None or (other.flags.bit_count(), between) < best[:2]:
            best = (other.flags.bit_count(), between, other)
    return None if best is None else _merged(chain, best[2])


def _merged(one: Occurrence, other: Occurrence) -> Occurrence:
    return Occurrence(
        one.concept,
        min(one.first, other.first),
        max(one.last, other.last),
        tuple(sorted({*one.tokens, *other.tokens})),
        one.flags | other.flags,
    )
