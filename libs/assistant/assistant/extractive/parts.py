"""Splits a question that asks two things."""

import re

from assistant.extractive.question import Question, Reader

_ASKS = r"(?:how|when|can|could|what|should|do|does|is|are|why|where|will|would|which|who|am|may)\b"
_JOINT = re.compile(rf"(?:,? (?:and|also|plus|or)(?: also| then)?|[?!.;]+|,) (?={_ASKS})")


def split(reader: Reader, question: Question) -> list[Question]:
    """The two halves when each is a question of its own kind, else the question alone."""
    for joint in _JOINT.finditer(question.text):
        first, second = question.text[: joint.start()], question.text[joint.end() :]
        halves = [reader.part(question, first), reader.part(question, second)]
        if all(half.kinds for half in halves) and _differ(*halves):
            return halves
    return [question]


def _differ(one: Question, other: Question) -> bool:
    same = one.kinds[0].name == other.kinds[0].name
    return not same or bool(set(other.content) - set(one.content))
