"""Turns a draft into a few sentences for the ear."""

from collections.abc import Sequence

from assistant import turns
from assistant.extractive import draft, fitness

LONGEST = 50  # words aimed at, the offer included
_ITEMS = 3
_GO_ON = "Shall I go on?"
_DANGERS = "Shall I tell you the danger signs?"


def text(made: draft.Draft) -> tuple[str, tuple[turns.Citation, ...]]:
    """What to say, and the passages it comes from; no markers are in the text."""
    if made.declined:
        return made.lead, ()
    cited = draft.Citations()
    body = [quote for part in made.body for quote in draft.whole(part)]
    first = _opening(body)
    danger = [] if _has_danger(first) else [q for q in made.closing if _danger(q)][:1]
    said = [made.lead] if made.lead else []
    said += _sentences(first)
    size = sum(len(sentence.split()) for sentence in said)
    offer = _offer(body, first, made, bool(danger))
    if danger and size + danger[0].unit.size > LONGEST:
        danger, offer = [], _DANGERS
    said += [quote.unit.text for quote in danger]
    for quote in (*first, *danger):
        cited.mark(quote)
    sources = list(dict.fromkeys(citation.source for citation in cited.all()))
    if sources:
        said.append(f"That is from {sources[0]}.")
    if made.note:
        said.append(made.note)
    return " ".join([*said, offer] if offer else said), cited.all()


def _opening(body: Sequence[draft.Quote]) -> list[draft.Quote]:
    """The first sentence or two, or the first three items of a list."""
    chosen: list[draft.Quote] = []
    size = 0
    for quote in body:
        listed = quote.unit.item is not None
        if chosen and (listed != (chosen[0].unit.item is not None)):
            break
        if len(chosen) >= (_ITEMS if listed else 2) or (chosen and size + quote.unit.size > 32):
            break
        chosen.append(quote)
        size += quote.unit.size
    return chosen


def _sentences(quotes: Sequence[draft.Quote]) -> list[str]:
    return [quote.unit.text for quote in quotes]


def _danger(quote: draft.Quote) -> bool:
    return quote.unit.heading == fitness.BLOCKS[1]


def _has_danger(quotes: Sequence[draft.Quote]) -> bool:
    return any(_danger(quote) for quote in quotes)


def _offer(
    body: Sequence[draft.Quote], first: Sequence[draft.Quote], made: draft.Draft, danger: bool
) -> str:
    if len(body) > len(first):
        return _GO_ON
    rest = [quote for quote in made.closing if _danger(quote)]
    return _DANGERS if rest and not danger else ""
