"""The cards as library mode reads them: sentences with their stems, vectors and places."""

import math
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from assistant.extractive import lexicon
from assistant.knowledge import cards, prose
from assistant.knowledge.encoder import Encoder

Vectors = NDArray[np.float32]

TITLE_WEIGHT = 0.8
_K1, _B = 1.2, 0.75
_HIDDEN = frozenset({"Sources"})
_PEOPLE_HEADINGS = {"Children": "child", "Pregnancy": "pregnant"}
_DANGLES = re.compile(r"(?:It|They|This|These|Those|Some|He|She|That|Such)\b")
_CONDITION = re.compile(r"\b(?:[Uu]ntil|[Uu]nless|[Bb]ecause|[Ww]hile|[Ww]hen|[Ii]f)\b")
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


@dataclass(frozen=True, slots=True)
class Page:
    """One card, ready to be quoted."""

    number: int
    card: cards.Card
    names: tuple[lexicon.Name, ...]
    vetoes: tuple[lexicon.Name, ...]
    units: tuple[Unit, ...]
    vectors: Vectors  # (units, dimension)
    stems: frozenset[str]
    people: frozenset[str]  # whom the whole page is about

    def under(self, *headings: str) -> list[Unit]:
        """The sentences under these headings, in the author's order."""
        return [unit for unit in self.units if unit.heading in headings]

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
    passages: Vectors  # (sections, dimension), each with its title
    starts: NDArray[np.intp]  # the first passage of each page
    postings: Mapping[str, tuple[NDArray[np.intp], NDArray[np.float32]]]  # stem to BM25 weights
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
    pages = tuple(_page(n, card, library.encoder, words) for n, card in enumerate(ordered))
    passages, starts, postings = _passages(ordered, library.encoder, words)
    count = len(pages)
    seen = Counter(stem for page in pages for stem in page.stems)
    idf = {stem: math.log(1 + (count - n + 0.5) / (n + 0.5)) for stem, n in seen.items()}
    vocabulary = {
        word
        for card in ordered
        for text in (card.title, *card.also_called, card.body)
        for word in lexicon.words(words.normalise(text))
    }
    return Shelf(
        pages=pages,
        encoder=library.encoder,
        lexicon=words,
        idf=idf,
        rarest=math.log(1 + (count + 0.5) / 0.5),
        passages=passages,
        starts=starts,
        postings=postings,
        vocabulary=frozenset(vocabulary),
    )


def _page(number: int, card: cards.Card, encoder: Encoder, words: lexicon.Lexicon) -> Page:
    units: list[Unit] = []
    for section in card.sections:
        if section.heading not in _HIDDEN:
            units += _units(section, len(units), words)
    called = (card.title, *card.also_called)
    names = dict.fromkeys(lexicon.phrase(words.normalise(name)) for name in called)
    title_words = set(lexicon.words(words.normalise(card.title)))
    stems = {stem for unit in units for stem in unit.stems}
    stems.update(stem for name in names for stem in lexicon.stems(name))
    return Page(
        number=number,
        card=card,
        names=tuple(name for name in names if name),
        vetoes=tuple(lexicon.phrase(words.normalise(name)) for name in card.not_this),
        units=tuple(units),
        vectors=encoder.encode([unit.text for unit in units]),
        stems=frozenset(stems),
        people=frozenset(who for who, said in words.people.items() if said & title_words),
    )


def _units(section: cards.Section, at: int, words: lexicon.Lexicon) -> list[Unit]:
    gathered: list[tuple[str | None, list[str]]] = []
    for sentence in prose.sentences(section.text):
        if sentence.item == "" and gathered:
            gathered[-1][1].append(sentence.text)
        else:
            gathered.append((sentence.item, [sentence.text]))
    return [
        _unit(at + n, section.heading, " ".join(" ".join(parts).split()), item, words)
        for n, (item, parts) in enumerate(gathered)
    ]


def _unit(at: int, heading: str, text: str, item: str | None, known: lexicon.Lexicon) -> Unit:
    said = lexicon.words(known.normalise(text))
    people = {who for who, named in known.people.items() if not named.isdisjoint(said)}
    if heading in _PEOPLE_HEADINGS and not people:
        people.add(_PEOPLE_HEADINGS[heading])
    stems = Counter(lexicon.stems(said))
    clause = _CONDITION.split(text, maxsplit=1)[0]
    main = frozenset(lexicon.stems(lexicon.words(known.normalise(clause))))
    size = prose.words(text)
    return Unit(at, heading, text, item, stems, main or frozenset(stems), frozenset(people), size)


def _passages(
    ordered: list[cards.Card], encoder: Encoder, words: lexicon.Lexicon
) -> tuple[Vectors, NDArray[np.intp], dict[str, tuple[NDArray[np.intp], NDArray[np.float32]]]]:
    texts: list[str] = []
    titles: list[str] = []
    starts: list[int] = []
    for card in ordered:
        starts.append(len(texts))
        for section in card.sections:
            if section.heading not in _HIDDEN:
                texts.append(section.text)
                titles.append(card.title)
    distinct = {title: n for n, title in enumerate(dict.fromkeys(titles))}
    bodies = encoder.encode([f"{t}\n{x}" for t, x in zip(titles, texts, strict=True)])
    heads = encoder.encode(list(distinct))[[distinct[title] for title in titles]]
    rows = bodies + TITLE_WEIGHT * heads
    lengths = np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-9)
    bags = [
        Counter(lexicon.stems(lexicon.words(words.normalise(f"{title} {title} {text}"))))
        for title, text in zip(titles, texts, strict=True)
    ]
    return (rows / lengths).astype(np.float32), np.asarray(starts, dtype=np.intp), _bm25(bags)


def _bm25(
    bags: list[Counter[str]],
) -> dict[str, tuple[NDArray[np.intp], NDArray[np.float32]]]:
    sizes = np.asarray([max(1, bag.total()) for bag in bags], dtype=np.float32)
    mean = float(sizes.mean()) if len(sizes) else 1.0
    places: dict[str, list[tuple[int, int]]] = {}
    for at, bag in enumerate(bags):
        for stem, times in bag.items():
            places.setdefault(stem, []).append((at, times))
    weights = {}
    for stem, found in places.items():
        rows = np.asarray([at for at, _ in found], dtype=np.intp)
        often = np.asarray([n for _, n in found], dtype=np.float32)
        idf = math.log(1 + (len(bags) - len(found) + 0.5) / (len(found) + 0.5))
        spread = often * (_K1 + 1) / (often + _K1 * (1 - _B + _B * sizes[rows] / mean))
        weights[stem] = (rows, (idf * spread).astype(np.float32))
    return weights
