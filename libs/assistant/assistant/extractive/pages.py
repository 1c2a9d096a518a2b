"""The cards as library mode reads them: sentences with their stems, vectors and places."""

import functools
import math
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from assistant.extractive import lexicon, passages
from assistant.knowledge import cards, prose
from assistant.knowledge.encoder import Encoder

Vectors = NDArray[np.float32]

_HIDDEN = frozenset({"Sources"})
_PEOPLE_HEADINGS = {"Children": "child", "Pregnancy": "pregnant"}
_DANGLES = re.compile(r"(?:It|They|This|These|Those|Some|He|She|That|Such)\b")
_CONDITION = re.compile(r"\b(?:[Uu]ntil|[Uu]nless|[Bb]ecause|[Ww]hile|[Ww]hen|[Ii]f)\b")
_OTHERS = re.compile(r"\bnot (?:pregnant|breastfeeding)\b")
_FOLLOWS = re.compile(r"(?:But|Otherwise|However|With most others)\b")


class Opened(Protocol):
    """What is needed of an opened library."""

    @property
    def cards(self) -> Mapping[str, cards.Card]:
        """The cards by id."""

    @property
    def encoder(self) -> Encoder:
        """What turned its passages into vectors."""


@dataclass(frozen=True, slots=True)
class Unit:
    """One sentence of running text, or one whole list item."""

    at: int  # its row in the page's vectors
    heading: str
    text: str
    item: str | None  # its list marker, None in running text
    stems: Mapping[str, int]
    main: frozenset[str]  # the stems before "until", "if", "because" and the like
    people: frozenset[str]
    size: int  # in words

    @property
    def dangles(self) -> bool:
        """True when it needs the sentence before it to be understood."""
        return self.item is None and bool(_DANGLES.match(self.text))

    @property
    def follows(self) -> bool:
        """True when it must not be left out after the sentence before it."""
        return self.item is None and bool(_FOLLOWS.match(self.text))


class Rows:
    """The vectors of one page's sentences, made when they are first wanted."""

    def __init__(self, encoder: Encoder, texts: Sequence[str]) -> None:
        self._encoder = encoder
        self._texts = texts

    @functools.cached_property
    def matrix(self) -> Vectors:
        """Shape (sentences, dimension)."""
        return self._encoder.encode(self._texts)


@dataclass(frozen=True, slots=True)
class Page:
    """One card, ready to be quoted."""

    number: int
    card: cards.Card
    names: tuple[lexicon.Name, ...]
    vetoes: tuple[lexicon.Name, ...]
    units: tuple[Unit, ...]
    rows: Rows
    stems: frozenset[str]
    people: frozenset[str]  # whom the whole page is about

    def under(self, *headings: str) -> list[Unit]:
        """The sentences under these headings, in the author's order."""
        return [unit for unit in self.units if unit.heading in headings]

    @property
    def vectors(self) -> Vectors:
        """One row a unit, of shape (units, dimension)."""
        return self.rows.matrix

    @property
    def medicine(self) -> bool:
        """True for a card about a medicine."""
        return self.card.kind == "medicine"


@dataclass(frozen=True, slots=True)
class Shelf:
    """All pages and what is counted over them."""

    pages: tuple[Page, ...]
    encoder: Encoder
    lexicon: lexicon.Lexicon
    idf: Mapping[str, float]  # of stems, over cards
    rarest: float
    passages: passages.Passages
    vocabulary: frozenset[str]

    def weight(self, stem: str) -> float:
        """How much a stem tells: its inverse document frequency over the cards."""
        return self.idf.get(stem, self.rarest)

    def share(self, found: frozenset[str], wanted: tuple[str, ...]) -> float:
        """How much of `wanted`, by weight, is in `found`; 0 for nothing wanted."""
        total = sum(self.weight(stem) for stem in wanted)
        return sum(self.weight(stem) for stem in wanted if stem in found) / total if total else 0.0


def build(library: Opened, words: lexicon.Lexicon) -> Shelf:
    """Read every card of the library."""
    ordered = [library.cards[key] for key in sorted(library.cards)]
    vocabulary: set[str] = set()
    read = tuple(
        _page(n, card, library.encoder, words, vocabulary) for n, card in enumerate(ordered)
    )
    count = len(read)
    seen = Counter(stem for page in read for stem in page.stems)
    return Shelf(
        pages=read,
        encoder=library.encoder,
        lexicon=words,
        idf={stem: math.log(1 + (count - n + 0.5) / (n + 0.5)) for stem, n in seen.items()},
        rarest=math.log(1 + (count + 0.5) / 0.5),
        passages=passages.Passages([p for page in read for p in _passages(page)], library.encoder),
        vocabulary=frozenset(vocabulary),
    )


def _page(
    number: int,
    card: cards.Card,
    encoder: Encoder,
    words: lexicon.Lexicon,
    vocabulary: set[str],
) -> Page:
    units: list[Unit] = []
    for section in card.sections:
        if section.heading not in _HIDDEN:
            units += _units(section, len(units), words, vocabulary)
    names = dict.fromkeys(
        lexicon.phrase(words.normalise(name)) for name in (card.title, *card.also_called)
    )
    for name in (card.title, *card.also_called):
        vocabulary.update(words.words(name))
    stems = {stem for unit in units for stem in unit.stems}
    stems.update(stem for name in names for stem in lexicon.stems(name))
    title = set(words.words(card.title))
    return Page(
        number=number,
        card=card,
        names=tuple(name for name in names if name),
        vetoes=tuple(lexicon.phrase(words.normalise(name)) for name in card.not_this),
        units=tuple(units),
        rows=Rows(encoder, [unit.text for unit in units]),
        stems=frozenset(stems),
        people=frozenset(who for who, said in words.people.items() if said & title),
    )


def _passages(page: Page) -> list[passages.Passage]:
    title = Counter(lexicon.stems(page.names[0])) if page.names else Counter[str]()
    found = []
    for section in page.card.sections:
        bag = title + title
        for unit in page.under(section.heading):
            bag.update(unit.stems)
        if section.heading not in _HIDDEN:
            found.append(passages.Passage(page.number, page.card.title, section.text, bag))
    return found


def _units(
    section: cards.Section, at: int, words: lexicon.Lexicon, vocabulary: set[str]
) -> list[Unit]:
    gathered: list[tuple[str | None, list[str]]] = []
    for sentence in prose.sentences(section.text):
        if sentence.item == "" and gathered:
            gathered[-1][1].append(sentence.text)
        else:
            gathered.append((sentence.item, [sentence.text]))
    return [
        _unit(at + n, section.heading, " ".join(" ".join(parts).split()), item, words, vocabulary)
        for n, (item, parts) in enumerate(gathered)
    ]


def _unit(
    at: int,
    heading: str,
    text: str,
    item: str | None,
    known: lexicon.Lexicon,
    vocabulary: set[str],
) -> Unit:
    said = known.words(text)
    vocabulary.update(said)
    meant = known.words(_OTHERS.sub("", text)) if _OTHERS.search(text) else said
    people = {who for who, named in known.people.items() if not named.isdisjoint(meant)}
    if heading in _PEOPLE_HEADINGS and not people:
        people.add(_PEOPLE_HEADINGS[heading])
    stems = Counter(lexicon.stems(said))
    condition = _CONDITION.search(text)
    stated = lexicon.stems(known.words(text[: condition.start()])) if condition else stems
    return Unit(
        at=at,
        heading=heading,
        text=text,
        item=item,
        stems=stems,
        main=frozenset(stated) or frozenset(stems),
        people=frozenset(people),
        size=prose.words(text),
    )
