"""Sets two topics side by side."""

import re
from collections.abc import Sequence

from assistant.extractive import draft, lexicon, naming, pages, topic
from assistant.extractive.question import Question

LONGEST_WITH_DANGERS = 130
_SIMILAR = 0.7
_COULD_BE = re.compile(r"\b(?:could|might|can|would) (?:this|these|it|that|my|the)\b.* be\b")
_SIGNS = ("Signs", "Side effects")


def pair(question: Question, found: topic.Found) -> tuple[topic.Topic, topic.Topic] | None:
    """The two topics to compare, first the one named first; None when that is not the question."""
    full = [each for each in found.topics if each.full][:4]
    if len(full) < 2 or not _compares(question, full):
        return None
    pairs = [(a, b) for n, a in enumerate(full) for b in full[n + 1 :]]
    best = max(
        pairs,
        key=lambda two: (
            bool(authored(two[0].page, two[1].page)),
            two[0].page.card.kind == two[1].page.card.kind,
            two[0].score + two[1].score,
        ),
    )
    one, other = sorted(best, key=lambda each: first(question, each))
    return one, other


def _compares(question: Question, full: Sequence[topic.Topic]) -> bool:
    """True for a comparison, and for "do i have this or that" between two illnesses."""
    kind = question.kinds[0].name if question.kinds else ""
    if kind == "difference":
        return True
    illnesses = [each for each in full if not each.page.medicine]
    doubts = " or " in question.text or _COULD_BE.search(question.text) is not None
    return kind in ("", "signs", "yes-no") and doubts and len(illnesses) > 1


def authored(one: pages.Page, other: pages.Page) -> list[tuple[pages.Page, pages.Unit]]:
    """The sentences under "Compared with" of either page that name the other."""
    return [
        (page, unit)
        for page, against in ((one, other), (other, one))
        for unit in page.under("Compared with")
        if _names(against, unit)
    ]


def compose(
    two: tuple[topic.Topic, topic.Topic],
) -> tuple[tuple[draft.Quote, ...], tuple[draft.Quote, ...]]:
    """The body and the closing of a comparison."""
    said = authored(two[0].page, two[1].page)[:1]
    by_page = {each.page.number: each for each in two}
    body = [_quote(by_page[page.number], unit) for page, unit in said]
    for each in two:
        known = [quote.page.vectors[quote.unit.at] for quote in body]
        for unit in each.page.units:
            if unit.heading not in _SIGNS or unit.people - each.page.people:
                continue
            vector = each.page.vectors[unit.at]
            if all(float(vector @ other) <= _SIMILAR for other in known):
                body.append(_quote(each, unit))
                break
    dangers = [_quote(each, unit) for each in two for unit in each.page.under("Danger signs")]
    words = sum(quote.unit.size for quote in (*body, *dangers))
    if words > LONGEST_WITH_DANGERS:
        dangers = [_quote(e, unit) for e in two for unit in e.page.under("Danger signs")[:1]]
    return tuple(body), tuple(dangers)


def _quote(each: topic.Topic, unit: pages.Unit) -> draft.Quote:
    return draft.Quote(each.page, unit, min(1.0, max(0.0, each.fused)))


def _names(page: pages.Page, unit: pages.Unit) -> bool:
    return any(_holds(unit, naming.telling(name)) for name in page.names)


def _holds(unit: pages.Unit, words: Sequence[str]) -> bool:
    return all(stem in unit.stems for stem in lexicon.stems(words))


def first(question: Question, each: topic.Topic) -> int:
    """The place in the question of the first word that names the topic."""
    words = lexicon.stems(question.words)
    return min((at for at, stem in enumerate(words) if stem in each.own), default=len(words))
