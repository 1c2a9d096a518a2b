"""Chooses the sentences of one card that answer one question."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from assistant.extractive import intents, lexicon, pages
from assistant.extractive.question import Question

BUDGET = 60  # words of a direct answer
STRICT = frozenset({"safe", "yes-no"})
BLOCKS = ("When to see someone", "Danger signs")
_EXACT = frozenset({"safe", "yes-no", "long", "when", "serious"})
_SIMILAR, _PRIOR_PEOPLE, _CUE = 0.8, 1.0, 0.35
_COSINE, _LEXICAL = 0.6, 0.4
_FOCUS_EXACT, _FOCUS = 0.9, 0.6
_KEEP, _KEEP_FOCUS, _KEEP_STRICT = 0.62, 0.75, 0.8
_ALIKE = 0.86
_HIT = 0.3  # least share of the focus that counts as a hit where only hits may answer
_NEVER_FOR_OTHERS = re.compile(
    r"\b\d[\d,.]* ?(?:mg|ml|micrograms?|mcg|g)\b|\b(?:tablets?|capsules?|ibuprofen|aspirin|codeine|"
    r"naproxen|loperamide|decongestants?|antihistamines?|antacids?|laxatives?|retinoids?|"
    r"alcohol-free|painkillers?)\b",
    re.IGNORECASE,
)
_PEOPLE_HEADINGS = {"child": "Children", "pregnant": "Pregnancy", "breastfeeding": "Pregnancy"}


@dataclass(frozen=True, slots=True)
class Ask:
    """What is asked of one page."""

    page: pages.Page
    question: Question
    kind: intents.Intent
    second: intents.Intent | None
    focus: tuple[str, ...]  # stems beyond topic and frame
    vector: NDArray[np.float32]
    budget: int = BUDGET

    @property
    def people(self) -> frozenset[str]:
        """Whom it concerns, where the page itself is not about them."""
        return self.question.people - self.page.people


class Chooser:
    """Chooses sentences; holds no state but the shelf."""

    def __init__(self, shelf: pages.Shelf) -> None:
        self._shelf = shelf

    def choose(self, ask: Ask) -> list[pages.Unit]:
        """The sentences that answer, in the order to be said; none when the page has no answer."""
        pool = self._pool(ask)
        if ask.kind.name in STRICT:
            return self._strict(ask, pool)
        if ask.people and ask.kind.name == "dose":
            return _within([unit for unit in pool if _about(unit, ask)], ask.budget)
        if ask.kind.name in ("long", "dose"):
            pool = [unit for unit in pool if ask.kind.cue.search(unit.text)]
        shares = self.shares(ask, pool)
        if max(shares, default=0.0) >= _HIT:
            return self._focused(ask, pool, shares)
        if ask.kind.name in ("long", "dose") and ask.focus and not ask.people:
            known = self.shares(ask, ask.page.units)
            if max(known, default=0.0) >= 0.5:
                return []
        return self._in_order(ask, pool)

    def shares(self, ask: Ask, units: Sequence[pages.Unit]) -> list[float]:
        """How much of the focus each sentence holds, by weight, 0 to 1."""
        wanted = [(self._alike(stem), self._shelf.weight(stem)) for stem in ask.focus]
        total = sum(weight for _, weight in wanted)
        if not total:
            return [0.0] * len(units)
        return [
            sum(weight for alike, weight in wanted if not alike.isdisjoint(unit.stems)) / total
            for unit in units
        ]

    def _alike(self, stem: str) -> frozenset[str]:
        known = self._shelf.lexicon
        group = next((to for word, to in known.groups.items() if lexicon.stem(word) == stem), ())
        return known.alike(stem) | frozenset(group)

    def _pool(self, ask: Ask) -> list[pages.Unit]:
        """The sentences that may be said to these people about this."""
        sections = ask.kind.sections
        units = [
            unit
            for unit in ask.page.units
            if unit.heading in sections or unit.heading not in BLOCKS
        ]
        if not ask.question.people:
            return [unit for unit in units if not _for_others(unit, ask)]
        return [unit for unit in units if _may_be_said(unit, ask)]

    def _strict(self, ask: Ask, pool: list[pages.Unit]) -> list[pages.Unit]:
        """Only sentences that hit the focus, and the people when there are any."""
        if ask.people:
            pool = [unit for unit in pool if _about(unit, ask)]
            if not pool:
                return []
        shares = self.shares(ask, pool)
        best = max(shares, default=0.0)
        if not ask.focus or (ask.people and best < _HIT and not self._knows(ask)):
            return self._plain(ask, pool)
        hits = [
            (unit, share)
            for unit, share in zip(pool, shares, strict=True)
            if share >= max(_HIT, 0.6 * best)
        ]
        if not hits:
            return []
        return self._best(ask, [unit for unit, _ in hits], [s for _, s in hits], _KEEP_STRICT)

    def _knows(self, ask: Ask) -> bool:
        return max(self.shares(ask, ask.page.units), default=0.0) >= _HIT

    def _plain(self, ask: Ask, pool: list[pages.Unit]) -> list[pages.Unit]:
        """Safe or not, with nothing more said than for whom."""
        if ask.people:
            ordered = sorted(pool, key=lambda unit: (-_prior(unit, ask), unit.at))
            own = [unit for unit in ordered if unit.heading == ordered[0].heading]
            return _within(own, ask.budget)
        if ask.kind.name == "safe":
            for heading in ("Who should not take it", "What not to do"):
                if own := [unit for unit in pool if unit.heading == heading]:
                    return _within(own, ask.budget)
        return []

    def _focused(
        self, ask: Ask, pool: list[pages.Unit], shares: list[float]
    ) -> list[pages.Unit]:
        keep = _KEEP_FOCUS
        best = max(shares)
        kept = [n for n, share in enumerate(shares) if share >= min(_HIT, best)]
        chosen = self._best(ask, [pool[n] for n in kept], [shares[n] for n in kept], keep)
        if ask.kind.name != "care":
            return chosen
        budget = ask.budget // 2
        hit = _within([unit for unit in chosen if unit.heading != "What to do"][:2], budget)
        return [*hit, *(u for u in self._in_order(ask, pool) if u not in hit)]

    def _best(
        self, ask: Ask, pool: list[pages.Unit], shares: list[float], keep: float
    ) -> list[pages.Unit]:
        """The best by score, none alike to another, best first and the rest as written."""
        scores = self._scores(ask, pool, shares)
        order = sorted(range(len(pool)), key=lambda n: (-scores[n], pool[n].at))
        top = scores[order[0]]
        chosen: list[pages.Unit] = []
        size = 0
        for n in order:
            unit = pool[n]
            if chosen and (scores[n] < keep * top or size + unit.size > ask.budget):
                continue
            vectors = ask.page.vectors
            if any(float(vectors[unit.at] @ vectors[other.at]) > _ALIKE for other in chosen):
                continue
            chosen.append(unit)
            size += unit.size
        return [chosen[0], *sorted(chosen[1:], key=lambda unit: unit.at)]

    def _scores(
        self, ask: Ask, pool: list[pages.Unit], shares: list[float]
    ) -> list[float]:
        cosine = _spread([float(ask.page.vectors[unit.at] @ ask.vector) for unit in pool])
        asked = {stem: self._shelf.weight(stem) for stem in ask.question.content}
        lexical = _spread(
            [sum(weight for stem, weight in asked.items() if stem in unit.stems) for unit in pool]
        )
        by_focus = _FOCUS_EXACT if ask.kind.name in _EXACT else _FOCUS
        return [
            _SIMILAR * (_COSINE * cosine[n] + _LEXICAL * lexical[n])
            + _prior(unit, ask)
            + (_CUE if ask.kind.cue.search(unit.text) else 0.0)
            + by_focus * shares[n]
            for n, unit in enumerate(pool)
        ]

    def _in_order(self, ask: Ask, pool: list[pages.Unit]) -> list[pages.Unit]:
        """The section that answers, as its author wrote it."""
        about = [unit for unit in pool if ask.people and _about(unit, ask)]
        lead = _within(about, ask.budget // 2) if ask.kind.name != "what" else []
        rest = [unit for unit in pool if unit not in about]
        ranked = sorted(ask.kind.sections.items(), key=lambda entry: -entry[1])
        for heading, _ in ranked:
            own = [unit for unit in rest if unit.heading == heading]
            if own and (ask.kind.name != "serious" or _cued(own, ask)):
                own = _cued(own, ask) if ask.kind.name == "serious" else own
                return [*lead, *_within(own, ask.budget), *self._more(ask, rest, heading)]
        return lead

    def _more(self, ask: Ask, rest: list[pages.Unit], heading: str) -> list[pages.Unit]:
        """What rounds an answer off: what not to do after what to do, signs after a meaning."""
        if ask.kind.name == "care" and heading in ("What to do", "How to take it"):
            return _within([u for u in rest if u.heading == "What not to do"], 25, strictly=True)
        if ask.kind.name == "what" and heading == "What it is":
            told = sum(unit.size for unit in rest if unit.heading == heading)
            signs = [u for u in rest if u.heading in ("Signs", "Side effects")]
            return signs[:1] if told < ask.budget // 2 else []
        return []


def _prior(unit: pages.Unit, ask: Ask) -> float:
    prior = ask.kind.sections.get(unit.heading, 0.0)
    if ask.second is not None:
        prior = max(prior, 0.5 * ask.second.sections.get(unit.heading, 0.0))
    own = {_PEOPLE_HEADINGS[who] for who in ask.question.people}
    return _PRIOR_PEOPLE if unit.heading in own else prior


def _about(unit: pages.Unit, ask: Ask) -> bool:
    """True when the sentence is about all the people concerned."""
    if not ask.people <= unit.people:
        return False
    return unit.heading != "How to take it" and not (
        ask.kind.name == "dose" and unit.heading not in _PEOPLE_HEADINGS.values()
    )


def _for_others(unit: pages.Unit, ask: Ask) -> bool:
    """True for a sentence about a child or a pregnancy that nobody has mentioned."""
    if unit.heading in _PEOPLE_HEADINGS.values():
        return not unit.people <= ask.page.people
    return ask.kind.name == "dose" and bool(unit.people - ask.page.people)


def _may_be_said(unit: pages.Unit, ask: Ask) -> bool:
    """No sentence for other people, and no medicine that is not said to be for these."""
    if unit.heading in _PEOPLE_HEADINGS.values():
        return not unit.people.isdisjoint(ask.question.people)
    if ask.people <= unit.people:
        return True
    return unit.heading not in ("How to take it", "Treatment", "What to do") or not (
        _NEVER_FOR_OTHERS.search(unit.text)
    )


def _cued(units: list[pages.Unit], ask: Ask) -> list[pages.Unit]:
    return [unit for unit in units if ask.kind.cue.search(unit.text)]


def _within(
    units: list[pages.Unit], budget: int, *, strictly: bool = False
) -> list[pages.Unit]:
    """The first of `units` up to `budget` words, at least one unless `strictly`; lists whole."""
    chosen: list[pages.Unit] = []
    size = 0
    for unit in units:
        listed = unit.item is not None and bool(chosen) and chosen[-1].item is not None
        room = size + unit.size <= budget or (listed and not strictly)
        if room or (not chosen and not strictly):
            chosen.append(unit)
            size += unit.size
        else:
            break
    return chosen


def _spread(values: list[float]) -> list[float]:
    low, high = min(values, default=0.0), max(values, default=0.0)
    if high - low < 1e-9:
        return [0.0] * len(values)
    return [(value - low) / (high - low) for value in values]
