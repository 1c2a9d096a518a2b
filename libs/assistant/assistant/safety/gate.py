"""The gate: reads a message, finds what endangers somebody, and says so before anything else."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache

from assistant.safety import measures, numerals, replies, rulebook, tokens
from assistant.safety.context import Context, Doubt
from assistant.safety.cues import Cues
from assistant.safety.occurrences import FLAGS, Finder, Leaf, Occurrence
from assistant.safety.patterns import Compiler
from assistant.safety.rulebook import Case, Rule, Rulebook
from assistant.safety.slips import Slips
from assistant.safety.stems import Stems
from assistant.safety.verdict import Assessment, Fired, Level, Span
from assistant.safety.words import Reader, Word
from assistant.turns import Turn

_TURNS_BACK = 6
_CHARACTERS_BACK = 2000
_MOST_MEMORIES = 2000
_CALM = Assessment(Level.NONE, (), None, ())
FIGURE = "figure"
"""The concept of all figures of speech: the words in them are not meant."""

_Memory = Mapping[int, frozenset[str]]
Found = Mapping[str, Sequence[Occurrence]]


@dataclass(frozen=True, slots=True)
class _Reading:
    """A message as the gate sees it."""

    tokens: Sequence[tokens.Token]
    found: Found
    sure: frozenset[str]
    unsure: Mapping[str, frozenset[int]]

    def present(self, despite: int) -> frozenset[str]:
        if not despite or not self.unsure:
            return self.sure
        against = ~despite
        return self.sure.union(
            [
                name
                for name, doubts in self.unsure.items()
                for flags in doubts
                if not flags & against
            ]
        )


class Gate:
    """The rules, compiled. Holds no message; safe to share."""

    def __init__(self, book: Rulebook, says: replies.Replies) -> None:
        unspoken = {rule.reply for rule in book.rules} - says.says.keys()
        if unspoken:
            raise rulebook.RulebookError(f"no reply called {', '.join(sorted(unspoken))}")
        self._rules = tuple(sorted(book.rules, key=lambda rule: rule.level.rank))
        self._despites = frozenset(int(rule.despite) for rule in book.rules)
        self._memories: dict[bytes, _Memory] = {}
        self._symptoms = book.symptoms
        self._says = says
        stems = Stems(book.forms)
        concepts = {FIGURE: (), **book.concepts, **dict.fromkeys(measures.NAMES, ())}
        wanted = sorted({name for rule in book.rules for case in rule.cases for name in case.names})
        compiled = Compiler(concepts, key=stems.key, fillers=book.fillers).compile(
            [FIGURE, *wanted, *sorted(book.symptoms)]
        )
        cues = {word for kind in book.cues.values() for cue in kind for word in cue.split()}
        listed = compiled.words | book.forms.keys()
        known = _with_forms(listed, stems)
        for word in cues | measures.WORDS | numerals.WORDS:
            known.setdefault(word, stems.key(word))
        slips = Slips(known, book.ordinary)
        parts = slips.words | book.fillers
        self._negators = frozenset(
            word for kind in ("negator", "list_negator") for word in book.cues[kind]
        )

        def repair(word: str) -> Sequence[Sequence[str]]:
            readings = slips.readings(word)
            if readings:
                return [(reading,) for reading in readings]
            split = slips.split(word, parts)
            return [split] if split else []

        self._reader = Reader(
            key=lambda word: known.get(word) or stems.key(word),
            keys=frozenset(known.values()),
            fillers=book.fillers,
            repair=repair,
            sounds=book.sounds,
            common={*known, *book.ordinary, *book.sounds},
        )
        literal = {name: near for name, near in compiled.near.items() if name != FIGURE}
        self._finder = Finder(replace(compiled, near=literal))
        figures = Compiler(concepts, key=stems.key, fillers=book.fillers).compile([FIGURE])
        self._figures = Finder(figures, complete=frozenset({FIGURE}))
        self._context = Context(Cues(book.cues))
        self._yes = frozenset(book.cues["yes"])

    def assess(self, text: str, history: Sequence[Turn] = (), locale: str = "en-GB") -> Assessment:
        """Returns the verdict on `text`, said after `history`; see `assistant.safety.assess`."""
        reading = self._read(text)
        memory = self._remember(text, reading)
        earlier = [
            self._recall(turn.content[-_CHARACTERS_BACK:])
            for turn in history[-2 * _TURNS_BACK :]
            if turn.role == "user"
        ][-_TURNS_BACK:]
        agreed = self._agreed(reading, history)
        fired: list[tuple[Rule, Fired]] = []
        present: dict[int, tuple[frozenset[str], frozenset[str]]] = {}
        for despite, here in memory.items():
            if agreed is not None:
                here |= agreed.present(despite | Doubt.ASKED)
            present[despite] = here, here.union(*(one[despite] for one in earlier))
        for rule in self._rules:
            despite = int(rule.despite)
            if rule.signs.isdisjoint(present[despite][0]):
                continue
            case = _first_case(rule, *present[despite])
            if case is not None:
                fired.append((rule, Fired(rule.id, _spans(reading, case, despite))))
        return self._verdict(fired, reading, locale)

    def _recall(self, text: str) -> _Memory:
        known = self._memories.get(_digest(text))
        return known or self._remember(text, self._read(text))

    def _remember(self, text: str, reading: _Reading) -> _Memory:
        """Keeps what a message was about, and none of its words, for the turns that follow."""
        if len(self._memories) >= _MOST_MEMORIES:
            self._memories.clear()
        memory = {despite: reading.present(despite) for despite in self._despites}
        self._memories[_digest(text)] = memory
        return memory

    def _verdict(
        self, fired: Sequence[tuple[Rule, Fired]], reading: _Reading, locale: str
    ) -> Assessment:
        if not fired:
            calm = reading.present(0).isdisjoint(self._symptoms)
            return _CALM if calm else replace(_CALM, level=Level.ROUTINE)
        level = fired[0][0].level
        rules = [rule for rule, _ in fired]
        return Assessment(
            level,
            tuple(one for _, one in fired),
            self._says.message(level, rules, locale),
            self._says.resources(level, rules, locale),
        )

    def _read(self, text: str) -> _Reading:
        cut = tokens.cut(text)
        words, cut = self._reader.read(cut)
        leaves = self._finder.phrases(words)
        consumed = {
            token
            for _, leaf in leaves
            if len(leaf.tokens) > 1
            for token in leaf.tokens
            if cut[token].word in self._negators
        }
        doubts = self._context.doubts(cut, consumed)
        leaves.extend(_measured(cut, words))
        figure = int(Doubt.FIGURE)
        for one in self._figures.compose(leaves).get(FIGURE, ()):
            for token in one.tokens:
                doubts[token] |= figure
        if any(doubts):
            leaves = [(names, _doubted(leaf, doubts)) for names, leaf in leaves]
        found = self._finder.compose(leaves)
        unsure = {
            name: frozenset(map(FLAGS, places))
            for name, places in found.items()
            if places[0].flags and all(map(FLAGS, places))
        }
        return _Reading(cut, found, frozenset(found.keys() - unsure.keys()), unsure)

    def _agreed(self, reading: _Reading, history: Sequence[Turn]) -> _Reading | None:
        """What the assistant has just asked, when the message begins by saying yes to it."""
        if not history or history[-1].role != "assistant" or not reading.tokens:
            return None
        if reading.tokens[0].word not in self._yes:
            return None
        question = history[-1].content[-_CHARACTERS_BACK:].rstrip()
        if not question.endswith("?"):
            return None
        start = max(question.rfind(mark, 0, -1) for mark in ".!?\n") + 1
        return self._read(question[start:])


@cache
def open_gate() -> Gate:
    """Compiles the packaged rules, once. Raises RulebookError or PatternError."""
    return Gate(rulebook.load(), replies.load())


def _digest(text: str) -> bytes:
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).digest()


def _with_forms(words: frozenset[str], stems: Stems) -> dict[str, str]:
    """The words and their regular forms with their keys, so that slips in those are read too."""
    known = {word: stems.key(word) for word in sorted(words)}
    for word, key in list(known.items()):
        if len(word) > 3 and word.isalpha():
            stem = word.removesuffix("e")
            for form in (f"{word}s", f"{stem}ing", f"{stem}ed"):
                known.setdefault(form, key)
    return known


def _measured(cut: Sequence[tokens.Token], words: Sequence[Word]) -> list[Leaf]:
    found = measures.find(cut)
    if not found:
        return []
    places = {word.token: word for word in reversed(words)}
    leaves: list[Leaf] = []
    for one in found:
        first = places.get(one.first)
        if first is not None:
            last = places.get(one.last, first)
            stretch = tuple(range(one.first, one.last + 1))
            place = Occurrence(first.place, last.place, first.sentence, stretch)
            leaves.append(((one.name,), place))
    return leaves


def _doubted(leaf: Occurrence, doubts: Sequence[int]) -> Occurrence:
    flags = 0
    for token in leaf.tokens:
        flags |= doubts[token]
    return Occurrence(*leaf[:4], flags) if flags else leaf


def _first_case(rule: Rule, here: frozenset[str], ever: frozenset[str]) -> Case | None:
    """The first case that holds. What was said before may complete it, never call it off."""
    for case in rule.cases:
        if (
            case.needed <= ever
            and not case.signs.isdisjoint(here)
            and _chosen(case, ever)
            and case.unless.isdisjoint(here)
        ):
            return case
    return None


def _chosen(case: Case, ever: frozenset[str]) -> bool:
    for group in case.choices:
        if group.isdisjoint(ever):
            return False
    return not case.at_least or len(case.of & ever) >= case.at_least


def _spans(reading: _Reading, case: Case, despite: int) -> tuple[Span, ...]:
    spans: set[tuple[int, int]] = set()
    for name in case.signs:
        for one in reading.found.get(name, ()):
            if not one.flags & ~despite:
                spans.update(_runs(reading.tokens, one.tokens))
    return tuple([Span(start, end) for start, end in sorted(spans)])


def _runs(cut: Sequence[tokens.Token], indices: Sequence[int]) -> list[tuple[int, int]]:
    runs: list[tuple[int, int]] = []
    previous = -2
    for index in indices:
        _, start, end, _ = cut[index]
        if index == previous + 1:
            start, _ = runs.pop()
        runs.append((start, end))
        previous = index
    return runs
