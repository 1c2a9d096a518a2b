"""Finds the card that a question is about, or says that there is none."""

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from assistant.extractive import lexicon, naming, pages
from assistant.extractive.question import Question

_DENSE, _LEXICAL = 0.7, 0.3
_TITLE, _COVERAGE, _MEDICINE, _OPPOSITE, _EXACT = 0.6, 0.3, 0.3, -2.0, 0.1
_PEOPLE = 0.3
_TOP = 100
_BIAS, _BY_TITLE, _BY_COVERAGE, _BY_COSINE, _BY_UNKNOWN = -7.2, 6.0, 2.5, 5.0, -0.4
_RESCUE_COSINE = 0.4
_CLAIMS = 0.6  # share of a name from which its words count as naming the page
FULL = 0.99


@dataclass(frozen=True, slots=True)
class Topic:
    """A card that may be meant, and how well it fits."""

    page: pages.Page
    score: float
    share: float  # of its best name's weight that the question holds, 0 to 1
    coverage: float
    cosine: float
    fused: float
    own: frozenset[str]  # stems of the question that name it

    @property
    def full(self) -> bool:
        """True when a whole name of it stands in the question."""
        return self.share >= FULL


@dataclass(frozen=True, slots=True)
class Found:
    """The topics of a question, best first; none when the library has nothing on it."""

    topics: tuple[Topic, ...]
    strangers: tuple[naming.Span, ...] = ()  # names in the question that no card carries


NOTHING = Found(())


class Finder:
    """Scores every card against a question."""

    def __init__(self, shelf: pages.Shelf) -> None:
        self._shelf = shelf
        self._names = naming.Names(shelf)
        self._carried: dict[str, set[int]] = {}
        self._weighed = [self._weigh(page) for page in shelf.pages]
        self._opposed = [_opposed(page, shelf.lexicon.opposites) for page in shelf.pages]
        for page in shelf.pages:
            for weights, _, _ in self._weighed[page.number]:
                for word in weights:
                    self._carried.setdefault(word, set()).add(page.number)
        self._holding: dict[str, set[tuple[int, int]]] = {}
        for page in shelf.pages:
            for unit in page.units:
                for stem in unit.stems:
                    self._holding.setdefault(stem, set()).add((page.number, unit.at))

    def _weigh(self, page: pages.Page) -> list[tuple[dict[str, float], float, bool]]:
        """Of each name its words with their weights, their sum, and whether they name the page."""
        found = []
        for name in page.names:
            weights = {w: self._shelf.weight(lexicon.stem(w)) for w in naming.telling(name)}
            claims = page.medicine or name not in self._shelf.lexicon.medicines
            found.append((weights, sum(weights.values()), claims))
        return found

    def find(self, question: Question, vector: NDArray[np.float32]) -> Found:
        """The topics of `question`, whose vector is `vector`, of shape (dimension,)."""
        if not self._shelf.pages or question.elsewhere or not question.words:
            return NOTHING
        spans = self._names.find(question.names)
        strangers = tuple(span for span in spans if not span.owners)
        ranked = self._rank(question, vector, spans)
        owners = {number for span in spans for number in span.owners}
        good = [
            topic
            for topic in ranked
            if self.probability(topic, question) >= 0.5
            and (topic.page.people <= question.people or topic.page.number in owners)
            and not (topic.page.medicine and topic.own and topic.own <= question.without)
        ]
        if strangers:
            good = [topic for topic in good if topic.full]
        elif not good:
            good = self._rescue(question, vector, ranked)
        return Found(tuple(good), strangers) if good else NOTHING

    def probability(self, topic: Topic, question: Question) -> float:
        """How likely the card answers the question, 0 to 1."""
        known = self._shelf.idf
        unknown = sum(stem not in known for stem in question.content)
        value = (
            _BIAS
            + _BY_TITLE * topic.share
            + _BY_COVERAGE * topic.coverage
            + _BY_COSINE * topic.cosine
            + _BY_UNKNOWN * min(2, unknown)
        )
        return 1 / (1 + math.exp(-value))

    def medicines(self, question: Question) -> list[naming.Span]:
        """The medicines named in the question."""
        pages_ = self._shelf.pages
        return [
            span
            for span in self._names.find(question.names)
            if span.medicine or any(pages_[number].medicine for number in span.owners)
        ]

    def _rank(
        self, question: Question, vector: NDArray[np.float32], spans: list[naming.Span]
    ) -> list[Topic]:
        fused, cosine = self._passages(question, vector)
        likely = set(np.argsort(-fused, kind="stable")[:8].tolist())
        likely.update(
            number
            for word in {*question.names, *question.hints}
            for number in self._carried.get(word, ())
        )
        topics = [
            self._topic(self._shelf.pages[n], question, spans, float(fused[n]), float(cosine[n]))
            for n in sorted(likely)
        ]
        return sorted(topics, key=lambda topic: (-topic.score, topic.page.card.id))

    def _passages(
        self, question: Question, vector: NDArray[np.float32]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """The best fused score and the best cosine of each page's passages."""
        held, stop = self._shelf.passages, self._shelf.lexicon.stop
        telling = (word for word in question.words if word not in stop)
        dense = held.dense(vector)
        lexical = held.lexical(list(dict.fromkeys(lexicon.stems(telling))))
        fused = _DENSE * _spread(dense) + _LEXICAL * _spread(lexical)
        return held.best(fused), held.best(dense)

    def _topic(
        self,
        page: pages.Page,
        question: Question,
        spans: list[naming.Span],
        fused: float,
        cosine: float,
    ) -> Topic:
        free = self._free(page, question, spans)
        share, weight, own = self._title(page, free)
        coverage = self._coverage(page, question)
        score = fused + _TITLE * share + _COVERAGE * coverage + _EXACT * min(1.0, weight / 12)
        if page.medicine and any(kind.name in ("dose", "safe") for kind in question.kinds):
            score += _MEDICINE
        score += _PEOPLE * _people_fit(page, question)
        if self._opposite(page, question):
            score, share = score + _OPPOSITE, 0.0
        return Topic(page, score, share, coverage, cosine, fused, own)

    def _free(
        self, page: pages.Page, question: Question, spans: list[naming.Span]
    ) -> frozenset[str]:
        """The question's words that this page's names may claim."""
        taken: set[int] = set()
        for span in spans:
            longer = span.end - span.start > 1 or not span.owners
            if longer and page.number not in span.owners:
                taken.update(range(span.start, span.end))
        for veto in page.vetoes:
            taken |= naming.places(question.names, veto)
        left = (word for at, word in enumerate(question.names) if at not in taken)
        return frozenset((*left, *question.hints))

    def _title(self, page: pages.Page, free: frozenset[str]) -> tuple[float, float, frozenset[str]]:
        """Share and weight of the best name found, and the stems that all names claim."""
        best, own = (0.0, 0.0), set[str]()
        for weights, total, claims in self._weighed[page.number]:
            found = [word for word in weights if word in free]
            if not found:
                continue
            weight = sum(weights[word] for word in found)
            share = weight / total
            best = max(best, (round(share, 4), weight))
            if share >= _CLAIMS and claims:
                own.update(lexicon.stems(found))
        if best[0] < _CLAIMS:
            own.update(lexicon.stems(w for name in page.names for w in name if w in free))
        return best[0], best[1], frozenset(own)

    def _coverage(self, page: pages.Page, question: Question) -> float:
        alike = self._shelf.lexicon.alike
        held = frozenset(
            stem for stem in question.content if not page.stems.isdisjoint(alike(stem))
        )
        return self._shelf.share(held, question.content)

    def _opposite(self, page: pages.Page, question: Question) -> bool:
        asked = question.names
        return any(
            naming.places(asked, one) and not naming.places(asked, other)
            for one, other in self._opposed[page.number]
        )

    def _rescue(
        self, question: Question, vector: NDArray[np.float32], ranked: Iterable[Topic]
    ) -> list[Topic]:
        """The page one sentence of which holds every content word, where the words are many."""
        if len(question.content) < 2:
            return []
        held = [self._holding.get(stem, set()) for stem in question.content]
        shared = set.intersection(*held)
        by_page = {topic.page.number: topic for topic in ranked}
        for number, at in sorted(shared):
            page = self._shelf.pages[number]
            near = float(page.vectors[at] @ vector)
            if number in by_page and near > _RESCUE_COSINE:
                return [by_page[number]]
        return []


def _opposed(
    page: pages.Page, pairs: Iterable[tuple[lexicon.Name, lexicon.Name]]
) -> list[tuple[lexicon.Name, lexicon.Name]]:
    """The words that the page is the opposite of, each with the page's own."""
    return [
        (one, other)
        for pair in pairs
        for one, other in (pair, pair[::-1])
        if any(naming.places(name, other) for name in page.names)
        and not any(naming.places(name, one) for name in page.names)
    ]


def _people_fit(page: pages.Page, question: Question) -> int:
    """1 for a page about the people concerned, -1 for one about others, else 0."""
    if not page.people:
        return 0
    return 1 if page.people & question.people else -1


def _spread(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """Scaled to 0..1 over the best hundred; all zeros when they are all alike."""
    top = np.partition(values, -_TOP)[-_TOP:] if len(values) > _TOP else values
    low, high = float(top.min()), float(top.max())
    if high - low < 1e-9:
        return np.zeros_like(values)
    scaled: NDArray[np.float32] = np.clip((values - low) / (high - low), 0.0, 1.0)
    return scaled
