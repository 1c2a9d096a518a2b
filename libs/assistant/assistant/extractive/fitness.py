"""Whether a sentence may be said to these people about this question."""

import re
from dataclasses import dataclass

from numpy import float32
from numpy.typing import NDArray

from assistant.extractive import intents, pages
from assistant.extractive.question import Question

BUDGET = 60  # words of a direct answer
STRICT = frozenset({"safe", "yes-no"})  # kinds that only a sentence on the very point may answer
BLOCKS = ("When to see someone", "Danger signs")
PEOPLE_HEADINGS = {"child": "Children", "pregnant": "Pregnancy", "breastfeeding": "Pregnancy"}
_PEOPLE_SECTIONS = frozenset(PEOPLE_HEADINGS.values())
_MEDICINE = re.compile(
    r"\b\d[\d,.]* ?(?:mg|ml|micrograms?|mcg|g)\b|\b(?:tablets?|capsules?|ibuprofen|aspirin|codeine|"
    r"naproxen|loperamide|decongestants?|antihistamines?|antacids?|laxatives?|retinoids?|"
    r"painkillers?|steroid|inhaler|lotions?|sprays?|gel|lozenges|antifungal|antiviral|paracetamol|"
    r"anti-inflammatory|nicotine|alginate)\b",
    re.IGNORECASE,
)
_TREATS = frozenset({"How to take it", "Treatment", "What to do"})
_INFANT = re.compile(r"\b(?:bab(?:y|ies)|newborns?|infants?)\b", re.IGNORECASE)
_BABY = 0.4
_ADVICE = re.compile(
    r"\b(?:should|must|ask|see|call|do not|never|avoid|safe|gives?|offer|needs?|"
    r"first choice|use|try|take|advice|best|helps?)\b",
    re.IGNORECASE,
)
_INFLAMMATORY = frozenset({"nsaid", "ibuprofen", "naproxen", "inflammatori", "diclofenac"})
_SCHOOL = re.compile(r"\b(?:school|nursery)\b")


@dataclass(frozen=True, slots=True)
class Ask:
    """What is asked of one page."""

    page: pages.Page
    question: Question
    kind: intents.Intent
    second: intents.Intent | None
    focus: tuple[str, ...]  # stems beyond topic and frame
    named: frozenset[str]  # stems of the name by which the question calls the topic
    musts: tuple[frozenset[str], ...]  # of each, a strict answer must hold a stem
    vector: NDArray[float32]
    budget: int = BUDGET
    fragment: bool = False  # no kind of question could be told

    @property
    def people(self) -> frozenset[str]:
        """Whom it concerns, where the page itself is not about them."""
        return self.question.people - self.page.people


def pool(ask: Ask) -> list[pages.Unit]:
    """The sentences of the page that may be said."""
    units = [
        unit
        for unit in ask.page.units
        if (unit.heading not in BLOCKS or unit.heading in ask.kind.sections)
        and not _ruled_out(unit, ask.question.without)
    ]
    allowed = _may_be_said if ask.question.people else _for_anyone
    return [unit for unit in units if allowed(unit, ask)]


def _ruled_out(unit: pages.Unit, without: frozenset[str]) -> bool:
    """True for advice to take what the person cannot, unless it names another choice."""
    if not without or unit.heading not in _TREATS:
        return False
    barred = without | (_INFLAMMATORY if without & _INFLAMMATORY else frozenset())
    return not barred.isdisjoint(unit.stems) and " or " not in unit.text


def about(unit: pages.Unit, ask: Ask) -> bool:
    """True when the sentence is about all the people concerned, and is no dose for others."""
    if not ask.people <= unit.people or unit.heading == "How to take it":
        return False
    return ask.kind.name != "dose" or unit.heading in _PEOPLE_SECTIONS


def harmless(unit: pages.Unit, ask: Ask) -> bool:
    """True when it holds for a child as for anyone: no medicine in it, and none the topic."""
    return ask.people == {"child"} and not ask.page.medicine and not _MEDICINE.search(unit.text)


def leads(unit: pages.Unit, ask: Ask) -> bool:
    """True for a sentence on the people concerned that may open an answer."""
    if not ask.people or not about(unit, ask):
        return False
    own = unit.heading in _PEOPLE_SECTIONS
    if own and ask.kind.name == "care" and not _ADVICE.search(unit.text):
        return False
    if own and _SCHOOL.search(unit.text) and not _SCHOOL.search(ask.question.text):
        return False
    if own and ask.kind.name != "care" and not ask.kind.cue.search(unit.text):
        return False
    return own or (unit.item is None and ask.kind.sections.get(unit.heading, 0.0) >= 0.9)


def for_baby(unit: pages.Unit, ask: Ask) -> float:
    """What a sentence on babies is worth more when a baby is concerned."""
    return _BABY if ask.question.infant and _INFANT.search(unit.text) else 0.0


def prior(unit: pages.Unit, ask: Ask) -> float:
    """How well the sentence's heading suits the kind of question, 0 to 1."""
    value = ask.kind.sections.get(unit.heading, 0.0)
    if ask.second is not None:
        value = max(value, 0.5 * ask.second.sections.get(unit.heading, 0.0))
    own = {PEOPLE_HEADINGS[who] for who in ask.question.people}
    return 1.0 if unit.heading in own else value


def holds(unit: pages.Unit, ask: Ask) -> bool:
    """True when it names a medicine that a strict answer must name, where there are any."""
    return not ask.musts or any(not must.isdisjoint(unit.stems) for must in ask.musts)


def _for_anyone(unit: pages.Unit, ask: Ask) -> bool:
    """No sentence about a child or a pregnancy that nobody has mentioned."""
    if unit.heading in _PEOPLE_SECTIONS:
        return unit.people <= ask.page.people
    return ask.kind.name != "dose" or unit.people <= ask.page.people


def _may_be_said(unit: pages.Unit, ask: Ask) -> bool:
    """No sentence for other people, and no medicine that is not said to be for these."""
    if unit.heading in _PEOPLE_SECTIONS:
        return not unit.people.isdisjoint(ask.question.people)
    if ask.people <= unit.people:
        return True
    if ask.page.medicine and unit.heading == "How to take it" and "child" in ask.people:
        return False
    return unit.heading not in _TREATS or not _MEDICINE.search(unit.text)
