"""Sentences that open an answer whatever else it says, and how many fit."""

import re

from assistant.extractive import fitness, intents, lexicon, pages

_LASTED = re.compile(
    r"\b(?:minutes|hours|days|weeks|months|a week|a month)\b(?! (?:ago|old|pregnant|after|later))"
)
_FOR_SO_LONG = re.compile(
    r"\b(?:had|been|have)\b.*\b(?:for|past|last|over)(?: \w+){0,4} (?:day|week|month)s?\b"
)
_TIMED = re.compile(
    r"\b(?:over|more than|longer than|after|lasts?|for)\b.*\b(?:minute|hour|day|week|month)s?\b"
)
_DEFINES = frozenset({"What it is", "Causes", "Signs", "Common questions"})
_ARTICLES = ("a ", "an ", "the ")
_LONG = re.compile(r"\b(?:day|week|month|year)s?\b")
_OPENING = 5  # words before "is", at most, in a sentence that defines
_WEEKS_OLD = re.compile(r"\bnewborn|\b(?:\d+[ -](?:day|week)|[12][ -]month)s?[ -]old\b")
_YOUNGEST = re.compile(r"\bunder (?:3|three|one|1|2|two) months?\b")


def lasted(text: str) -> bool:
    """True when the normalised question tells how long a complaint has lasted."""
    return _FOR_SO_LONG.search(text) is not None


def lasting(ask: fitness.Ask, pool: list[pages.Unit]) -> list[pages.Unit]:
    """For a complaint that has lasted: how long it may, and from when it needs someone."""
    told = _LASTED if ask.fragment else _FOR_SO_LONG
    if ask.kind.name != "care" or not told.search(ask.question.text):
        return []
    measure = intents.named("long").cue
    see = [
        u for heading in fitness.BLOCKS for u in ask.page.under(heading) if _TIMED.search(u.text)
    ]
    usual = [u for u in pool if u.heading == "How long it lasts" and not u.people - ask.people]
    usual = [unit for unit in usual if measure.search(unit.text)]
    if _LONG.search(ask.question.text):
        usual = [unit for unit in usual if _LONG.search(unit.text)]
    return [*within(usual, 25), *see[:1]]


def for_youngest(ask: fitness.Ask) -> list[pages.Unit]:
    """For a baby of weeks with a complaint: first, whether such a baby must be seen."""
    if ask.kind.name != "care" or not _WEEKS_OLD.search(ask.question.text):
        return []
    units = [unit for heading in fitness.BLOCKS for unit in ask.page.under(heading)]
    return [unit for unit in units if _YOUNGEST.search(unit.text)][:1]


def defining(ask: fitness.Ask, pool: list[pages.Unit]) -> list[pages.Unit]:
    """The sentence that opens with the very name asked about, where the title is another."""
    for unit in (unit for unit in pool if unit.heading in _DEFINES):
        opening, _, rest = unit.text.partition(" is ")
        if rest and len(opening.split()) <= _OPENING and unit.item is None:
            told = set(lexicon.stems(lexicon.words(opening.lower())))
            first = unit.heading == "What it is" and not unit.at
            if ask.named and ask.named <= told and (first or rest.startswith(_ARTICLES)):
                return [unit]
    return []


def within(units: list[pages.Unit], budget: int, *, strictly: bool = False) -> list[pages.Unit]:
    """The first of `units` up to `budget` words, at least one unless `strictly`; lists whole."""
    chosen: list[pages.Unit] = []
    size = 0
    for unit in units:
        listed = unit.item is not None and bool(chosen) and chosen[-1].item is not None
        room = size + unit.size <= budget or (listed and not strictly)
        if not room and (chosen or strictly):
            break
        chosen.append(unit)
        size += unit.size
    return chosen
