"""What stands around a word: is it denied, over long ago, only asked about, or only a story?"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import IntFlag

from assistant.safety.tokens import Kind, Token

_YEARS = range(1920, 2100)
_LAY_SCOPE = 9
_LIST_SCOPE = 30
_LIST_ITEM = 5
_CLAUSE = 60  # longest reach of a cue, so that long sentences stay cheap


class Doubt(IntFlag):
    """Why a word may not speak of a danger here and now."""

    DENIED = 1
    PAST = 2
    ASKED = 4
    TOLD = 8


class Cues:
    """Kinds of cue phrases; each phrase is a run of plain words."""

    def __init__(self, phrases: Mapping[str, Collection[str]]) -> None:
        self._by_kind: dict[str, dict[str, list[tuple[str, ...]]]] = {}
        for kind, entries in phrases.items():
            by_first = self._by_kind.setdefault(kind, {})
            for entry in entries:
                words = tuple(entry.split())
                by_first.setdefault(words[0], []).append(words)

    def length(self, kind: str, words: Sequence[str], at: int) -> int:
        """Returns the number of words of the longest phrase of `kind` at `at`, 0 for none."""
        phrases = self._by_kind[kind].get(words[at])
        if phrases is None:
            return 0
        return max((len(one) for one in phrases if _stands(one, words, at)), default=0)

    def find(self, kind: str, words: Sequence[str], start: int, end: int) -> Iterator[int]:
        """Yields where phrases of `kind` begin in `words[start:end]`."""
        return (at for at in range(start, end) if self.length(kind, words, at))


def _stands(phrase: tuple[str, ...], words: Sequence[str], at: int) -> bool:
    return len(phrase) == 1 or tuple(words[at : at + len(phrase)]) == phrase


@dataclass(frozen=True, slots=True)
class _Sentence:
    start: int
    end: int


class Context:
    """Marks every token with its doubts, in a few passes over the tokens."""

    def __init__(self, cues: Cues) -> None:
        self._cues = cues

    def doubts(self, tokens: Sequence[Token], consumed: Collection[int]) -> list[int]:
        """Returns a `Doubt` for each token; `consumed` negations belong to a phrase."""
        words = [token.word for token in tokens]
        kinds = [token.kind for token in tokens]
        marks = [0] * len(tokens)
        sentences = list(_sentences(kinds))
        for sentence in sentences:
            self._deny(words, kinds, sentence, consumed, marks)
            self._put_in_the_past(words, kinds, sentence, marks)
            self._ask(words, sentence, marks)
        self._tell(words, sentences, marks)
        return marks

    def _deny(
        self,
        words: Sequence[str],
        kinds: Sequence[Kind],
        sentence: _Sentence,
        consumed: Collection[int],
        marks: list[int],
    ) -> None:
        at = sentence.start
        while at < sentence.end:
            skipped = self._cues.length("never_mind", words, at)
            if skipped or at in consumed:
                at += skipped or 1
                continue
            if self._cues.length("denied_after", words, at) and _ends_item(kinds, at, sentence):
                _mark(marks, _item_start(kinds, at, sentence), at, Doubt.DENIED)
            lists = self._cues.length("list_negator", words, at)
            if length := lists or self._cues.length("negator", words, at):
                end = self._scope(words, kinds, at + length, sentence, is_list=lists > 0)
                _mark(marks, at + length, end, Doubt.DENIED)
                at += length - 1
            at += 1

    def _scope(
        self,
        words: Sequence[str],
        kinds: Sequence[Kind],
        start: int,
        sentence: _Sentence,
        *,
        is_list: bool,
    ) -> int:
        limit = min(sentence.end, start + (_LIST_SCOPE if is_list else _LAY_SCOPE))
        is_list = is_list or _has_or(words, start, min(sentence.end, start + _LIST_SCOPE))
        if is_list:
            limit = min(sentence.end, start + _LIST_SCOPE)
        for at in range(start, limit):
            if kinds[at] is Kind.COMMA and not (is_list and self._is_item(words, kinds, at + 1)):
                return at
            if at > start and self._turns(words, at, is_first=at - start < 2):
                return at
            if words[at] == "and" and not (is_list and self._is_item(words, kinds, at + 1)):
                return at
        return limit

    def _turns(self, words: Sequence[str], at: int, *, is_first: bool) -> bool:
        if self._cues.length("turn", words, at):
            return True
        if is_first or not self._cues.length("subject", words, at):
            return False
        return not self._cues.length("joins", words, at - 1)

    def _is_item(self, words: Sequence[str], kinds: Sequence[Kind], start: int) -> bool:
        """A further item of a list is short and brings no subject or verb of its own."""
        for at in range(start, min(len(words), start + _LIST_ITEM)):
            if kinds[at] in (Kind.STOP, Kind.COMMA) or words[at] in ("or", "and", "nor"):
                return at > start or words[at] in ("or", "and", "nor")
            if self._cues.length("subject", words, at) or self._cues.length("turn", words, at):
                return False
        return True

    def _put_in_the_past(
        self, words: Sequence[str], kinds: Sequence[Kind], sentence: _Sentence, marks: list[int]
    ) -> None:
        for at in range(sentence.start, sentence.end):
            if self._is_past(words, kinds, at, sentence):
                start, end = self._clause(words, kinds, at, sentence)
                _mark(marks, start, end, Doubt.PAST)
            elif length := self._cues.length("history", words, at):
                end = self._until_now(words, at + length, sentence)
                _mark(marks, at + length, end, Doubt.PAST)

    def _is_past(
        self, words: Sequence[str], kinds: Sequence[Kind], at: int, sentence: _Sentence
    ) -> bool:
        if self._cues.length("past", words, at):
            return True
        is_year = kinds[at] is Kind.NUMBER and words[at].isdigit() and int(words[at]) in _YEARS
        return is_year and at > sentence.start and words[at - 1] in ("in", "back", "during", "from")

    def _clause(
        self, words: Sequence[str], kinds: Sequence[Kind], at: int, sentence: _Sentence
    ) -> tuple[int, int]:
        start = at
        earliest = max(sentence.start, at - _CLAUSE)
        while start > earliest and not self._cues.length("present", words, start - 1):
            start -= 1
        return start, self._until_now(words, at + 1, sentence)

    def _until_now(self, words: Sequence[str], start: int, sentence: _Sentence) -> int:
        end = min(sentence.end, start + _CLAUSE)
        return next(self._cues.find("present", words, start, end), end)

    def _ask(self, words: Sequence[str], sentence: _Sentence, marks: list[int]) -> None:
        at = sentence.start
        while at < sentence.end:
            end = at
            if self._cues.length("question", words, at):
                end = self._until_real(words, at, sentence)
            elif self._cues.length("if", words, at) and self._is_supposed(words, at, sentence):
                end = self._until_real(words, at + 4, sentence)
            _mark(marks, at, end, Doubt.ASKED)
            at = max(end, at + 1)

    def _until_real(self, words: Sequence[str], at: int, sentence: _Sentence) -> int:
        """A general question ends where the person or somebody of theirs comes in."""
        end = min(sentence.end, at + _CLAUSE)
        ends = "real"
        if next(self._cues.find("general", words, at, end), None) is not None:
            ends = "present"
        return next(self._cues.find(ends, words, at, end), end)

    def _is_supposed(self, words: Sequence[str], at: int, sentence: _Sentence) -> bool:
        if at > sentence.start and self._cues.length("unsure", words, at - 1):
            return False
        near = min(sentence.end, at + 6)
        return next(self._cues.find("supposed", words, at + 1, near), None) is not None

    def _tell(self, words: Sequence[str], sentences: Sequence[_Sentence], marks: list[int]) -> None:
        """A story or a lesson goes on until somebody real is in danger."""
        telling = False
        for sentence in sentences:
            frame = next(self._cues.find("told", words, sentence.start, sentence.end), None)
            real = next(self._cues.find("real", words, sentence.start, sentence.end), None)
            if frame is not None:
                telling = True
                present = self._until_now(words, frame, sentence)
                _mark(marks, sentence.start, present, Doubt.TOLD)
            elif real is not None:
                telling = False
            elif telling:
                _mark(marks, sentence.start, sentence.end, Doubt.TOLD)


def _sentences(kinds: Sequence[Kind]) -> Iterator[_Sentence]:
    start = 0
    for at, kind in enumerate(kinds):
        if kind is Kind.STOP:
            if at > start:
                yield _Sentence(start, at)
            start = at + 1
    if start < len(kinds):
        yield _Sentence(start, len(kinds))


def _mark(marks: list[int], start: int, end: int, doubt: Doubt) -> None:
    for at in range(start, end):
        marks[at] |= int(doubt)


def _has_or(words: Sequence[str], start: int, end: int) -> bool:
    return any(words[at] in ("or", "nor") for at in range(start, end))


def _ends_item(kinds: Sequence[Kind], at: int, sentence: _Sentence) -> bool:
    return at + 1 >= sentence.end or kinds[at + 1] is Kind.COMMA


def _item_start(kinds: Sequence[Kind], at: int, sentence: _Sentence) -> int:
    start = at
    while start > sentence.start and kinds[start - 1] is not Kind.COMMA:
        start -= 1
    return start
