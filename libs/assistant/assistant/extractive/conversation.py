"""Understands a question that leans on what was asked before."""

import dataclasses
import re
from collections.abc import Sequence

from assistant import turns
from assistant.extractive import pages, topic
from assistant.extractive.question import Question, Reader

FARTHEST = 4  # of the person's earlier questions
_LEANS = re.compile(r"^(?:and|but|also|so|or|what about|how about|what if|then|even)\b")
_POINTS = re.compile(r"\b(?:it|its|this|that|them|they|these|those|one)\b")
_GROWN = re.compile(r"\b(?:adults?|grown.?ups?|for me|myself)\b")
_SELF = re.compile(r"\b(?:i|me|my|we)\b")
_THEY = re.compile(r"\b(?:he|she|him|her|his|they|them|their|give)\b")
_RAMBLING = 30  # words, above which a question may hold its point at its end or its start
_POINT = 20  # words
_MOST_NEW = 4  # content words of a question that may still lean on the last one


@dataclasses.dataclass(frozen=True, slots=True)
class Understood:
    """A question with what it takes over, and the topics it is about."""

    question: Question
    found: topic.Found
    carried: bool = False


class Listener:
    """Finds what a question is about, alone or after others."""

    def __init__(self, shelf: pages.Shelf, reader: Reader, finder: topic.Finder) -> None:
        self._encoder = shelf.encoder
        self._reader = reader
        self._finder = finder

    def understand(self, text: str, history: Sequence[turns.Turn]) -> Understood:
        """`text` after `history`, whose last turns come first to mind."""
        earlier = [turn.content for turn in history if turn.role == "user"]
        return self._understand(text, earlier[-FARTHEST:])

    def _understand(self, text: str, earlier: Sequence[str]) -> Understood:
        question = self._reader.read(text)
        if earlier and (_SELF.search(question.text) or _THEY.search(question.text)):
            question = _same_people(question, self._understand(earlier[-1], earlier[:-1]).question)
        found = self._finder.find(question, self._vector(question))
        if not found.topics and len(question.words) > _RAMBLING and not question.elsewhere:
            question, found = self._point(question, found)
        if not earlier or not self._may_lean(question, found):
            return Understood(question, found)
        before = self._understand(earlier[-1], earlier[:-1])
        if not before.found.topics:
            return Understood(question, found)
        named = bool(found.topics) and found.topics[0].full
        if named:
            return (
                Understood(_carry(question, before), found)
                if _leans(question)
                else (Understood(question, found))
            )
        if question.content and not _leans(question) and not self._fits(question, before):
            return Understood(question, found)
        carried = _carry(question, before)
        kept = _preferred(before.found.topics, carried)
        return Understood(carried, topic.Found(kept, found.strangers), carried=True)

    def _point(self, whole: Question, found: topic.Found) -> tuple[Question, topic.Found]:
        """The end of a long story, else its start, where that alone is about some topic."""
        said = whole.text.split()
        for part in (said[-_POINT:], said[:_POINT]):
            point = self._reader.part(whole, " ".join(part))
            heard = self._finder.find(point, self._vector(point))
            if heard.topics:
                return point, heard
        return whole, found

    def _may_lean(self, question: Question, found: topic.Found) -> bool:
        if question.elsewhere or not (question.kinds or question.people or _leans(question)):
            return False
        named = bool(found.topics) and found.topics[0].full
        return _leans(question) if named else len(question.content) <= _MOST_NEW

    def _fits(self, question: Question, before: Understood) -> bool:
        """True when a question that neither points nor leans is about the last topic's page."""
        if _POINTS.search(question.text):
            return True
        held = before.found.topics[0].page.stems
        return all(stem in held for stem in question.content)

    def _vector(self, question: Question) -> pages.Vectors:
        row: pages.Vectors = self._encoder.encode([question.text])[0]
        return row


def _leans(question: Question) -> bool:
    return bool(_LEANS.match(question.text))


def _same_people(question: Question, before: Question) -> Question:
    """Still the same pregnancy or the same child, unless others are named."""
    if question.people or _GROWN.search(question.text):
        return question
    kept = before.people & {"pregnant", "breastfeeding"} if _SELF.search(question.text) else set()
    kept |= before.people & {"child"} if _THEY.search(question.text) else set()
    return dataclasses.replace(question, people=frozenset(kept))


def _carry(question: Question, before: Understood) -> Question:
    """The question with the kind and the people of the one before, where it has none itself."""
    old = before.question
    people = question.people
    if not people and not _GROWN.search(question.text):
        people = old.people
    kinds = question.kinds or old.kinds
    content = question.content
    named = {stem for each in before.found.topics for stem in each.own}
    if not question.kinds and (content or not question.people):
        content += tuple(s for s in old.content if s not in content and s not in named)
    return dataclasses.replace(question, people=people, kinds=kinds, content=content)


def _preferred(found: Sequence[topic.Topic], question: Question) -> tuple[topic.Topic, ...]:
    """The last topics; a medicine first where a dose or safety is asked."""
    asked = {kind.name for kind in question.kinds}
    if asked & {"dose", "safe"}:
        return tuple(sorted(found, key=lambda each: not (each.page.medicine and each.full)))
    return tuple(found)
