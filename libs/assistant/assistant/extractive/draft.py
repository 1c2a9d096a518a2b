"""What is to be said, before it becomes text or speech, and how it becomes text with markers."""

import itertools
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from assistant import turns
from assistant.extractive import pages

HELP = "When to get help:"
_NUMBERED = re.compile(r"\d")


@dataclass(frozen=True, slots=True)
class Quote:
    """A sentence of a page, and how well the page fits the question, 0 to 1."""

    page: pages.Page
    unit: pages.Unit
    score: float


@dataclass(frozen=True, slots=True)
class Draft:
    """An answer in its parts; `lead` and `note` are the program's own words and cite nothing."""

    lead: str = ""
    body: tuple[tuple[Quote, ...], ...] = ()  # one run of quotes a part of the question
    closing: tuple[Quote, ...] = ()
    note: str = ""
    topic: str | None = None

    @property
    def declined(self) -> bool:
        """True when nothing of the library is in it."""
        return not self.body and not self.closing


class Citations:
    """Numbers the passages in the order in which they are first quoted."""

    def __init__(self) -> None:
        self._found: dict[tuple[str, str], turns.Citation] = {}

    def mark(self, quote: Quote) -> str:
        """The marker of the section that `quote` comes from, such as " [1]"."""
        card, heading = quote.page.card, quote.unit.heading
        key = (card.id, heading)
        if key not in self._found:
            section = card.section(heading)
            source = card.sources[0] if card.sources else None
            self._found[key] = turns.Citation(
                marker=len(self._found) + 1,
                document_id=card.id,
                title=card.title,
                source=source.name if source else card.title,
                url=source.url if source else "",
                passage=section.text if section else quote.unit.text,
                score=round(quote.score, 4),
            )
        return f" [{self._found[key].marker}]"

    def all(self) -> tuple[turns.Citation, ...]:
        """Every citation given out, by marker."""
        return tuple(self._found.values())


def text(draft: Draft) -> tuple[str, tuple[turns.Citation, ...]]:
    """The draft as paragraphs with markers, and what they name."""
    cited = Citations()
    paragraphs = [draft.lead] if draft.lead else []
    for part in draft.body:
        paragraphs += _paragraphs(whole(part), cited)
    if draft.closing:
        lines = _paragraphs(whole(draft.closing), cited)
        paragraphs += [f"{HELP} {lines[0]}", *lines[1:]]
    if draft.note:
        paragraphs.append(draft.note)
    return "\n\n".join(paragraphs), cited.all()


def whole(quotes: Iterable[Quote]) -> list[Quote]:
    """`quotes` with the neighbours without which a sentence cannot be understood, none twice."""
    found: list[Quote] = []
    for quote in quotes:
        before, after = _neighbours(quote)
        for each in (before, quote.unit, after):
            if each is not None and all(
                other.unit is not each for other in found if other.page is quote.page
            ):
                found.append(Quote(quote.page, each, quote.score))
    return found


def _neighbours(quote: Quote) -> tuple[pages.Unit | None, pages.Unit | None]:
    units, unit = quote.page.units, quote.unit
    before = units[unit.at - 1] if unit.dangles and unit.at else None
    after = units[unit.at + 1] if unit.at + 1 < len(units) else None
    if before is not None and before.heading != unit.heading:
        before = None
    if after is None or after.heading != unit.heading or not after.follows:
        return before, None
    return before, after


def _paragraphs(quotes: Sequence[Quote], cited: Citations) -> list[str]:
    """Running text gathered into paragraphs, each list one of its own."""
    paragraphs: list[str] = []
    open_prose = False
    for (_, _, listed), run in itertools.groupby(quotes, key=_run):
        parts = list(run)
        marker = cited.mark(parts[0])
        if listed:
            paragraphs.append(_list(parts) + marker)
            open_prose = False
            continue
        said = " ".join(quote.unit.text for quote in parts) + marker
        if open_prose:
            paragraphs[-1] += f" {said}"
        else:
            paragraphs.append(said)
        open_prose = True
    return paragraphs


def _run(quote: Quote) -> tuple[str, str, bool]:
    return quote.page.card.id, quote.unit.heading, quote.unit.item is not None


def _list(quotes: Sequence[Quote]) -> str:
    if len(quotes) == 1:
        return quotes[0].unit.text
    numbered = bool(_NUMBERED.match(quotes[0].unit.item or ""))
    return "\n".join(
        f"{number}. {quote.unit.text}" if numbered else f"- {quote.unit.text}"
        for number, quote in enumerate(quotes, start=1)
    )
