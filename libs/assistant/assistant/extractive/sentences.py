"""Chooses the sentences of one card that answer one question."""

import dataclasses
import re
from collections.abc import Sequence

from assistant.extractive import fitness, intents, lexicon, openings, pages
from assistant.extractive.fitness import BLOCKS, Ask

_EXACT = frozenset({"safe", "yes-no", "long", "when", "serious"})
_SIMILAR, _CUE, _SUBJECT = 0.8, 0.35, 0.2
_COSINE, _LEXICAL = 0.6, 0.4
_FOCUS_EXACT, _FOCUS = 0.9, 0.6
_KEEP, _KEEP_STRICT = 0.75, 0.8
_ALIKE = 0.86
_HIT = 0.3  # least share of the focus that counts as a hit where only hits may answer
_HIT_WHEN, _LEAD, _LEAD_MEDICINE, _KNOWN = 0.6, 0.5, 0.35, 0.5
_COMPLAINT = 2  # words of focus from which a complaint may name a danger sign
_IN_CONDITION = 0.6
_ONE_THING = re.compile(
    r"^(?:what is the |what are the )?best\b|^(?:which|what (?:kind|type|sort))\b"
)
_MISSED = re.compile(r"\b(?:miss|missed|forgot|forgotten|skipped)\b")
_TURNS = (
    "work heal better recov clear away pass end over normal goe subsid finish kick wear cure"
    " resolv disappear"
)
_SOFT = frozenset(_TURNS.split())  # stems that only turn "how long" round, and exclude no sentence
_TOO_MUCH = re.compile(r"\boverdos|\b(?:too many|swallowed|ate|drank|got into|double)\b")
_ALONE = re.compile(r"\b(?:at home|home remed\w*|myself|naturally?|on my own)\b")
_LEADS = frozenset({"Treatment", "Common questions", "How to take it", "Children", "Pregnancy"})
_LEADS_FRAGMENT = _LEADS | {"Signs", "Causes", "How long it lasts", "Side effects"}


class Chooser:
    """Chooses sentences; holds no state but the shelf."""

    def __init__(self, shelf: pages.Shelf) -> None:
        self._shelf = shelf

    def choose(self, ask: Ask) -> list[pages.Unit]:
        """The sentences that answer, in the order to be said; none when the page has no answer."""
        pool = fitness.pool(ask)
        if ask.kind.name in fitness.STRICT:
            return self._strict(ask, pool)
        if ask.people and ask.kind.name == "dose":
            return openings.within([unit for unit in pool if fitness.about(unit, ask)], ask.budget)
        if ask.kind.name in ("long", "dose"):
            return self._measured(ask, pool)
        shares = self.shares(ask, pool)
        if ask.kind.name == "difference" and ask.focus and max(shares, default=0.0) < _HIT_WHEN:
            return []
        lasting = openings.lasting(ask, pool)
        if max(shares, default=0.0) < _HIT:
            said = [*openings.for_youngest(ask), *lasting]
            return [*said, *(unit for unit in self._in_order(ask, pool) if unit not in said)]
        lasting = [*self._alarming(ask), *lasting]
        if lasting:
            return [*lasting, *(u for u in self._care(ask, pool, shares) if u not in lasting)]
        if ask.kind.name == "care":
            return self._care(ask, pool, shares)
        return self._best(ask, pool, shares, _KEEP)

    def blocks(self, ask: Ask, *, urgent: bool) -> list[pages.Unit]:
        """When to see someone and the danger signs, and before them what is said on the focus."""
        see, danger = (ask.page.under(heading) for heading in BLOCKS)
        urgent = urgent or _TOO_MUCH.search(ask.question.text) is not None
        baby = any(fitness.for_baby(unit, ask) for unit in see)
        ordered = [*danger, *see] if urgent and not baby else [*see, *danger]
        if max(self.shares(ask, ordered), default=0.0) >= _HIT_WHEN:
            return ordered
        pool = [unit for unit in fitness.pool(ask) if unit.heading not in BLOCKS]
        shares = self.shares(ask, pool)
        kept = [n for n, share in enumerate(shares) if share >= _HIT_WHEN]
        hits = self._best(ask, [pool[n] for n in kept], [shares[n] for n in kept], _KEEP)
        return [*openings.within(hits[:2], ask.budget // 2), *ordered]

    def reach(self, ask: Ask) -> float:
        """The most of the focus that any sentence holds which could answer, 0 to 1."""
        pool = fitness.pool(ask)
        if ask.kind.name in ("long", "dose"):
            pool = [unit for unit in pool if ask.kind.cue.search(unit.text)]
        return max(self.shares(ask, pool), default=0.0)

    def shares(self, ask: Ask, units: Sequence[pages.Unit]) -> list[float]:
        """How much of the focus each sentence holds, by weight, 0 to 1."""
        wanted = [(self.alike(stem), self._shelf.weight(stem)) for stem in ask.focus]
        total = sum(weight for _, weight in wanted)
        if not total:
            return [0.0] * len(units)
        return [sum(_worth(unit, alike) * each for alike, each in wanted) / total for unit in units]

    def alike(self, stem: str) -> frozenset[str]:
        """Stems that mean the same, and for a medicine those of its group."""
        known = self._shelf.lexicon
        return known.alike(stem) | known.group_stems.get(stem, frozenset())

    def _measured(self, ask: Ask, pool: list[pages.Unit]) -> list[pages.Unit]:
        """How long, how much: only sentences with a time or an amount."""
        pool = [unit for unit in pool if ask.kind.cue.search(unit.text)]
        if ask.kind.name == "long":
            firm = tuple(stem for stem in ask.focus if stem not in _SOFT)
            ask = dataclasses.replace(ask, focus=firm)
        shares = self.shares(ask, pool)
        kept = [n for n, share in enumerate(shares) if share >= _HIT]
        if kept:
            return self._best(ask, [pool[n] for n in kept], [shares[n] for n in kept], _KEEP)
        if max(self.shares(ask, ask.page.units), default=0.0) >= _KNOWN:
            return []
        return self._in_order(ask, pool)

    def _alarming(self, ask: Ask) -> list[pages.Unit]:
        """The danger sign that a complaint of several words names, to be said first."""
        if not ask.fragment or len(ask.focus) < _COMPLAINT:
            return []
        units = ask.page.under(BLOCKS[1])
        shares = self.shares(ask, units)
        return [u for u, share in zip(units, shares, strict=True) if share >= _HIT_WHEN][:1]

    def _strict(self, ask: Ask, pool: list[pages.Unit]) -> list[pages.Unit]:
        """Only sentences that hit the focus, and the people when there are any."""
        pool = [unit for unit in pool if fitness.holds(unit, ask)]
        shares = self.shares(ask, pool)
        if ask.people:
            pool = [
                unit
                for unit, share in zip(pool, shares, strict=True)
                if fitness.about(unit, ask) or (share >= _HIT_WHEN and fitness.harmless(unit, ask))
            ]
            shares = self.shares(ask, pool)
        best = max(shares, default=0.0)
        for_whom = ask.page.medicine and ask.kind.name == "safe" and not ask.musts
        unsaid = best < _HIT and (for_whom or not self._knows(ask))
        if not ask.focus or (ask.people and unsaid):
            return self._plain(ask, pool)
        kept = [n for n, share in enumerate(shares) if share >= max(_HIT, 0.6 * best)]
        if not kept and ask.musts:  # in a long story what is said of the other medicines is enough
            kept = [n for n, unit in enumerate(pool) if unit.heading in ask.kind.sections]
        return self._best(ask, [pool[n] for n in kept], [shares[n] for n in kept], _KEEP_STRICT)

    def _knows(self, ask: Ask) -> bool:
        return max(self.shares(ask, ask.page.units), default=0.0) >= _HIT

    def _plain(self, ask: Ask, pool: list[pages.Unit]) -> list[pages.Unit]:
        """Safe or not, with nothing more said than for whom."""
        if ask.people:
            ordered = sorted(
                (unit for unit in pool if fitness.about(unit, ask)),
                key=lambda unit: (
                    -fitness.prior(unit, ask),
                    -fitness.for_baby(unit, ask),
                    unit.at,
                ),
            )
            own = [unit for unit in ordered if unit.heading == ordered[0].heading]
            return openings.within(own, ask.budget)
        if ask.kind.name == "safe":
            for heading in ("Who should not take it", "What not to do"):
                if own := [unit for unit in pool if unit.heading == heading]:
                    return openings.within(own, ask.budget)
        return []

    def _care(self, ask: Ask, pool: list[pages.Unit], shares: list[float]) -> list[pages.Unit]:
        """A sentence or two on the very thing, then what to do."""
        listed = [s for u, s in zip(pool, shares, strict=True) if u.heading == "What to do"]
        lead_from = _LEAD_MEDICINE if ask.page.medicine else _LEAD
        least = _LEAD if ask.fragment else max(lead_from, max(listed, default=0.0) + 0.01)
        headings = _LEADS_FRAGMENT if ask.fragment else _LEADS
        if _ALONE.search(ask.question.text):
            headings -= {"Treatment"}
        kept = [
            n
            for n, unit in enumerate(pool)
            if unit.heading in headings
            and shares[n] >= least
            and (ask.fragment or ask.kind.cue.search(unit.text))
        ]
        told = dataclasses.replace(ask, kind=intents.named("signs")) if ask.fragment else ask
        lead = self._best(told, [pool[n] for n in kept], [shares[n] for n in kept], _KEEP)
        lead = openings.within(lead[:2], ask.budget // 2)
        missed = ask.page.medicine and _MISSED.search(ask.question.text)
        if lead and (missed or _ONE_THING.search(ask.question.text)):
            return lead
        return [*lead, *(unit for unit in self._in_order(ask, pool) if unit not in lead)]

    def _best(
        self, ask: Ask, pool: list[pages.Unit], shares: list[float], keep: float
    ) -> list[pages.Unit]:
        """The best by score, none alike to another, best first and the rest as written."""
        if not pool:
            return []
        scores = self._scores(ask, pool, shares)
        order = sorted(range(len(pool)), key=lambda n: (-scores[n], pool[n].at))
        chosen: list[pages.Unit] = []
        size = 0
        vectors = ask.page.vectors
        for n in order:
            unit = pool[n]
            if chosen and (scores[n] < keep * scores[order[0]] or size + unit.size > ask.budget):
                continue
            if all(float(vectors[unit.at] @ vectors[other.at]) <= _ALIKE for other in chosen):
                chosen.append(unit)
                size += unit.size
        first, rest = chosen[0], sorted(chosen[1:], key=lambda unit: unit.at)
        if first.item is None:
            return [first, *rest]
        return sorted(chosen, key=lambda unit: (unit.heading != first.heading, unit.at))

    def _scores(self, ask: Ask, pool: list[pages.Unit], shares: list[float]) -> list[float]:
        cosine = _spread([float(ask.page.vectors[unit.at] @ ask.vector) for unit in pool])
        asked = {stem: self._shelf.weight(stem) for stem in ask.question.content}
        lexical = _spread(
            [sum(weight for stem, weight in asked.items() if stem in unit.stems) for unit in pool]
        )
        by_focus = _FOCUS_EXACT if ask.kind.name in _EXACT else _FOCUS
        return [
            _SIMILAR * (_COSINE * cosine[n] + _LEXICAL * lexical[n])
            + fitness.prior(unit, ask)
            + (_CUE if ask.kind.cue.search(unit.text) else 0.0)
            + (_SUBJECT if self._subject(unit, ask) else 0.0)
            + by_focus * shares[n]
            + fitness.for_baby(unit, ask)
            for n, unit in enumerate(pool)
        ]

    def _subject(self, unit: pages.Unit, ask: Ask) -> bool:
        """True when a strict answer opens with the topic: "Impetigo is …"."""
        if ask.kind.name not in fitness.STRICT:
            return False
        opening = lexicon.words(self._shelf.lexicon.normalise(unit.text[:40]))[:2]
        named = {word for name in ask.page.names for word in name}
        return any(lexicon.singular(word) in named for word in opening)

    def _in_order(self, ask: Ask, pool: list[pages.Unit]) -> list[pages.Unit]:
        """The section that answers, as its author wrote it."""
        people = [unit for unit in pool if fitness.leads(unit, ask)]
        lead = (
            openings.within(people, ask.budget // 2) if people and ask.kind.name != "what" else []
        )
        rest = [unit for unit in pool if unit not in people]
        for heading, _ in sorted(ask.kind.sections.items(), key=lambda entry: -entry[1]):
            own = [unit for unit in rest if unit.heading == heading]
            if ask.kind.name == "serious":
                own = [unit for unit in own if ask.kind.cue.search(unit.text)]
            if own and ask.kind.name == "what":
                lead = openings.defining(ask, pool)
                own = [unit for unit in own if unit not in lead]
                return [*lead, *openings.within(own, ask.budget), *self._more(ask, rest, heading)][
                    :3
                ]
            if own:
                return [*lead, *openings.within(own, ask.budget), *self._more(ask, rest, heading)]
        return lead

    def _more(self, ask: Ask, rest: list[pages.Unit], heading: str) -> list[pages.Unit]:
        """What rounds an answer off: what not to do after what to do, signs after a meaning."""
        if ask.kind.name == "care" and heading in ("What to do", "How to take it"):
            return openings.within(
                [u for u in rest if u.heading == "What not to do"], 25, strictly=True
            )
        if ask.kind.name == "what" and heading == "What it is":
            told = sum(unit.size for unit in rest if unit.heading == heading)
            signs = [u for u in rest if u.heading in ("Signs", "Side effects")]
            return signs[:1] if told < ask.budget // 2 else []
        return []


def _worth(unit: pages.Unit, alike: frozenset[str]) -> float:
    """1 for a word in what is stated, less for one in a condition, 0 for none."""
    if alike.isdisjoint(unit.stems):
        return 0.0
    return _IN_CONDITION if alike.isdisjoint(unit.main) else 1.0


def _spread(values: list[float]) -> list[float]:
    low, high = min(values, default=0.0), max(values, default=0.0)
    if high - low < 1e-9:
        return [0.0] * len(values)
    return [(value - low) / (high - low) for value in values]
