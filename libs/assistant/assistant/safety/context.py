"""What stands around a word: is it denied, over long ago, only asked about, or only a story?"""

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from enum import IntFlag

from assistant.safety.cues import Cues
from assistant.safety.tokens import Kind, Token

_LAY_SCOPE = 9
_LIST_SCOPE = 30
_LIST_ITEM = 5
_OR = ("or", "nor")
_JOINING = ("or", "nor", "and")
_SPANS_OF_TIME = (
    "day",
    "days",
    "week",
    "weeks",
    "hour",
    "hours",
    "month",
    "months",
    "year",
    "d",
    "h",
)
_CLAUSE = 60  # longest reach of a cue, so that long sentences stay cheap


class Doubt(IntFlag):
    """Why a word may not speak of a danger here and now."""

    DENIED = 1
    PAST = 2
    ASKED = 4
    TOLD = 8
    FIGURE = 16


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
        return _Marker(tokens, self._cues, consumed).mark()


class _Marker:
    """One message under its doubts."""

    def __init__(self, tokens: Sequence[Token], cues: Cues, consumed: Collection[int]) -> None:
        self._words = [token.word for token in tokens]
        self._kinds = [token.kind for token in tokens]
        self._cues = cues.find(self._words)
        self._consumed = consumed
        self._marks = [0] * len(tokens)

    def mark(self) -> list[int]:
        sentences = list(_sentences(self._kinds))
        self._in_sentences(sentences, ("negator", "list_negator", "denied_after"), self._deny)
        self._in_sentences(sentences, ("past", "history", "year"), self._put_in_the_past)
        self._in_sentences(
            sentences, ("question", "topic", "if", "maybe_question", "asking"), self._ask
        )
        self._tell(sentences)
        self._leave_to_the_vet(sentences)
        return self._marks

    def _in_sentences(
        self,
        sentences: Sequence[_Sentence],
        kinds: Sequence[str],
        read: Callable[[int, _Sentence], int],
    ) -> None:
        """Calls `read` at every cue of `kinds`, except where it says that it has read further."""
        number = free = 0
        for at in self._cues.starts(*kinds):
            while at >= sentences[number].end:
                number += 1
            if at >= free:
                free = read(at, sentences[number])

    def _set(self, start: int, end: int, doubt: Doubt) -> None:
        flag = int(doubt)
        for at in range(start, end):
            self._marks[at] |= flag

    def _deny(self, at: int, sentence: _Sentence) -> int:
        if at in self._consumed or self._never_mind(at, sentence) or self._is_new(at, sentence):
            return at + 1
        if self._cues.length("denied_after", at) and self._ends_item(at, sentence):
            self._set(self._item_start(at, sentence), at, Doubt.DENIED)
        lists = self._cues.length("list_negator", at)
        length = lists or self._cues.length("negator", at)
        if not length:
            return at + 1
        end = self._scope(at + length, sentence, is_list=lists > 0)
        self._set(at + length, end, Doubt.DENIED)
        return at + length

    def _is_new(self, at: int, sentence: _Sentence) -> bool:
        """ "Never had a pain like this" denies no pain."""
        end = min(sentence.end, at + _LAY_SCOPE)
        return self._words[at] == "never" and self._cues.first("unlike", at, end) is not None

    def _never_mind(self, at: int, sentence: _Sentence) -> bool:
        """Whether the cue is part of a phrase that denies nothing, such as "not sure"."""
        return any(
            self._cues.length("never_mind", start) > at - start
            for start in range(max(sentence.start, at - 3), at + 1)
        )

    def _scope(self, start: int, sentence: _Sentence, *, is_list: bool) -> int:
        reach = min(sentence.end, start + _LIST_SCOPE)
        is_list = is_list or any(self._words[at] in _OR for at in range(start, reach))
        limit = reach if is_list else min(sentence.end, start + _LAY_SCOPE)
        for at in range(start, limit):
            if self._kinds[at] is Kind.COMMA or self._words[at] == "and":
                if not (is_list and self._is_item(at + 1)):
                    return at
            elif at > start and self._turns(at, is_first=at - start < 2):
                return at
        return limit

    def _turns(self, at: int, *, is_first: bool) -> bool:
        if self._cues.length("turn", at):
            return True
        if is_first or not self._cues.length("subject", at):
            return False
        return not self._cues.length("joins", at - 1)

    def _is_item(self, start: int) -> bool:
        """A further item of a list is short and brings no subject or verb of its own."""
        for at in range(start, min(len(self._words), start + _LIST_ITEM)):
            if self._words[at] in _JOINING:
                return True
            if self._kinds[at] in (Kind.STOP, Kind.COMMA):
                return at > start
            if self._cues.length("subject", at) or self._cues.length("turn", at):
                return False
        return True

    def _ends_item(self, at: int, sentence: _Sentence) -> bool:
        """ "Fever: no" denies the fever; "a fever and no" has only been broken off."""
        if at > sentence.start and self._cues.length("broken_off", at - 1):
            return False
        return at + 1 >= sentence.end or self._kinds[at + 1] is Kind.COMMA

    def _item_start(self, at: int, sentence: _Sentence) -> int:
        earliest = max(sentence.start, at - _LIST_ITEM)
        start = at
        if start > earliest and self._kinds[start - 1] is Kind.COMMA:
            start -= 1
        while start > earliest and self._kinds[start - 1] is not Kind.COMMA:
            start -= 1
        return start

    def _put_in_the_past(self, at: int, sentence: _Sentence) -> int:
        if self._is_past(at, sentence):
            start, end = self._clause(at, sentence)
            self._set(start, end, Doubt.PAST)
            return end
        length = self._cues.length("history", at)
        # "A three day history of fever" is now.
        if not length or (at > sentence.start and self._words[at - 1] in _SPANS_OF_TIME):
            return at + 1
        end = self._until_now(at + length, sentence)
        self._set(at + length, end, Doubt.PAST)
        return end

    def _is_past(self, at: int, sentence: _Sentence) -> bool:
        if self._cues.length("past", at):
            return True
        is_dated = at > sentence.start and self._words[at - 1] in ("in", "back", "during", "from")
        return is_dated and self._cues.length("year", at) > 0

    def _clause(self, at: int, sentence: _Sentence) -> tuple[int, int]:
        start = at
        earliest = max(sentence.start, at - _CLAUSE)
        while start > earliest and not self._cues.length("present", start - 1):
            start -= 1
        return start, self._until_now(at + 1, sentence)

    def _until_now(self, start: int, sentence: _Sentence) -> int:
        end = min(sentence.end, start + _CLAUSE)
        found = self._cues.first("present", start, end)
        return end if found is None else found

    def _ask(self, at: int, sentence: _Sentence) -> int:
        end = at + 1
        reach = min(len(self._words), at + _CLAUSE)
        if self._cues.first("same_now", at, reach) is not None:
            return end  # "What is a seizure? He is having one now" asks of no general matter.
        if self._cues.length("question", at) or self._is_topic(at, sentence):
            end = self._until_real(at, sentence)
        elif at == sentence.start and self._is_plain_question(sentence):
            end = sentence.end
        elif at == sentence.start and self._is_general(sentence):
            end = self._until_now(at, sentence)
        elif self._cues.length("if", at) and self._is_supposed(at, sentence):
            end = self._until_real(at + 4, sentence)
        else:
            return end
        self._set(at, end, Doubt.ASKED)
        return end

    def _is_topic(self, at: int, sentence: _Sentence) -> bool:
        return at < sentence.start + 4 and self._cues.length("topic", at) > 0

    def _is_general(self, sentence: _Sentence) -> bool:
        """Whether it is "Can stress cause chest pain?" or the like."""
        if not self._cues.length("maybe_question", sentence.start):
            return False
        end = min(sentence.end, sentence.start + _CLAUSE)
        return self._cues.first("general", sentence.start, end) is not None

    def _is_plain_question(self, sentence: _Sentence) -> bool:
        """Whether it is "When is a fever too high?": nobody is spoken of."""
        if sentence.end >= len(self._words) or self._words[sentence.end] != "?":
            return False
        if not self._cues.length("asking", sentence.start):
            return False
        return self._cues.first("person", sentence.start, sentence.end) is None

    def _until_real(self, at: int, sentence: _Sentence) -> int:
        """A general question ends where the person or somebody of theirs comes in."""
        end = min(sentence.end, at + _CLAUSE)
        is_general = self._cues.first("general", at, end) is not None
        found = self._cues.first("present" if is_general else "real", at, end)
        return end if found is None else found

    def _is_supposed(self, at: int, sentence: _Sentence) -> bool:
        if at > sentence.start and self._cues.length("unsure", at - 1):
            return False
        return self._cues.first("supposed", at + 1, min(sentence.end, at + 6)) is not None

    def _tell(self, sentences: Sequence[_Sentence]) -> None:
        """A story or a lesson goes on until somebody real is in danger."""
        telling = False
        for sentence in sentences:
            frame = self._cues.first("told", sentence.start, sentence.end)
            if frame is not None:
                telling = True
                back = self._cues.first("but_me", frame, sentence.end)
                self._set(sentence.start, back or sentence.end, Doubt.TOLD)
            elif self._cues.first("own", sentence.start, sentence.end) is not None:
                telling = False
            elif telling:
                self._set(sentence.start, sentence.end, Doubt.TOLD)

    def _leave_to_the_vet(self, sentences: Sequence[_Sentence]) -> None:
        """What an animal suffers is no danger to a person, unless a person comes in."""
        ill = False
        for sentence in sentences:
            start = self._animal(sentence)
            if start is None and ill and self._cues.length("animal_again", sentence.start):
                start = sentence.start
            ill = start is not None and self._cues.first("human", start, sentence.end) is None
            if start is not None and ill:
                self._set(start, sentence.end, Doubt.TOLD)

    def _animal(self, sentence: _Sentence) -> int | None:
        """Where an animal is what the sentence speaks of: it does or has something."""
        start = sentence.start
        while (at := self._cues.first("animal", start, sentence.end)) is not None:
            if self._cues.length("animal_does", at + 1):
                return at
            start = at + 1
        return None


def _sentences(kinds: Sequence[Kind]) -> Iterator[_Sentence]:
    start = 0
    for at, kind in enumerate(kinds):
        if kind is Kind.STOP:
            if at > start:
                yield _Sentence(start, at)
            start = at + 1
    if start < len(kinds):
        yield _Sentence(start, len(kinds))
