"""Puts an answer together: whose page, which sentences, in which order, and when to get help."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from assistant import turns
from assistant.extractive import (
    comparison,
    conversation,
    draft,
    fitness,
    intents,
    lexicon,
    naming,
    openings,
    pages,
    parts,
    repair,
    sentences,
    spoken,
    topic,
    wording,
)
from assistant.extractive.question import Question, Reader
from assistant.knowledge.cards import Card
from assistant.knowledge.encoder import Encoder

LONGEST_WITH_BOTH = 120  # words: above this only the danger signs close an answer
LONGEST_OPEN = 170  # the same where a complaint was told rather than a question asked
_URGENT = re.compile(r"\b(?:ambulance|hospital|emergency|999|911|casualty)\b")
_JOINED = re.compile(r"\b(?:and|with|plus|alongside|while on)\b")
_ADULTS = re.compile(
    r"\b(?:can|do|does|could) (?:an )?adults? (?:\w+ )?(?:get|catch|have|develop)\b"
)
_READS = re.compile(r"\d.*\b(?:high|low|normal|fever|ok|okay|bad)\b")  # is a reading of N high
_BEYOND = re.compile(r"\b(?:surgery|operation|costs?|prices?|insurance|laser|near me)\b")
_WHATEVER_IS_TAKEN = ("when", "signs", "cause", "serious")
_HURRY = 2


@dataclass(frozen=True, slots=True)
class Answer:
    """`text` carries markers such as `[1]` that `citations` name; `topic` is a document's id."""

    text: str
    citations: tuple[turns.Citation, ...]
    declined: bool
    topic: str | None


class Composer:
    """Answers from the cards of one library, without a model; safe to share between threads."""

    def __init__(self, shelf: pages.Shelf) -> None:
        words = shelf.lexicon
        names = {word for name in words.conditions | words.medicines for word in name}
        kept = words.stop | words.frame
        repairer = repair.Repairer(shelf.vocabulary | kept | names, words.english)
        self._shelf = shelf
        self._reader = Reader(words, repairer)
        self._finder = topic.Finder(shelf)
        self._listener = conversation.Listener(shelf, self._reader, self._finder)
        self._chooser = sentences.Chooser(shelf)

    def answer(self, question: str, history: Sequence[turns.Turn] = ()) -> Answer:
        """The answer to read; declined, with no citation, when the library has nothing on it."""
        made = self._draft(question, history)
        said, cited = draft.text(made)
        return Answer(said, cited, made.declined, made.topic)

    def spoken(self, question: str, history: Sequence[turns.Turn] = ()) -> Answer:
        """The answer for the ear, of some 35 to 50 words, without markers in its text."""
        made = self._draft(question, history)
        said, cited = spoken.text(made)
        return Answer(said, cited, made.declined, made.topic)

    def _draft(self, text: str, history: Sequence[turns.Turn]) -> draft.Draft:
        heard = self._listener.understand(text, history)
        if not heard.found.topics:
            return _declined(heard.question)
        pair = comparison.pair(heard.question, heard.found)
        if pair is not None:
            return self._compared(pair)
        chosen = self._topic(heard)
        if chosen is None:
            return _declined(heard.question)
        return self._about(heard, chosen)

    def _compared(self, pair: tuple[topic.Topic, topic.Topic]) -> draft.Draft:
        body, closing = comparison.compose(pair)
        return draft.Draft(body=(body,), closing=closing, topic=pair[0].page.card.id)

    def _topic(self, heard: conversation.Understood) -> topic.Topic | None:
        """Of several topics named in full, the one whose page has most to say on the rest."""
        found = heard.found.topics
        strangers = [span for span in heard.found.strangers if not self._mentions(found, span)]
        full = [each for each in found if each.full][:3]
        if strangers and any(not span.medicine for span in strangers):
            full = [each for each in full if each.page.medicine]
            if not full:
                return None
        if len(full) < _HURRY or heard.carried:
            return found[0] if not full else full[0]
        same = all(each.page.medicine for each in full)
        return max(full, key=lambda each: self._worth(each, heard.question, in_order=same))

    def _mentions(self, found: Sequence[topic.Topic], span: naming.Span) -> bool:
        wanted = [self._chooser.alike(stem) for stem in lexicon.stems(span.name)]
        return any(
            all(not each.isdisjoint(unit.stems) for each in wanted)
            for one in found[:3]
            for unit in one.page.units
        )

    def _worth(
        self, each: topic.Topic, question: Question, *, in_order: bool
    ) -> tuple[float, float]:
        ask = self._ask(each, question, intents.find(question.text) or question.kinds)
        weigh, own = self._shelf.weight, [s for s in question.content if s not in ask.focus]
        named, rest = sum(map(weigh, own)), sum(map(weigh, ask.focus))
        hit = (named + rest * self._chooser.reach(ask)) / max(named + rest, 1e-9)
        medicine = each.page.medicine and ask.kind.name in ("safe", "dose", "effects")
        people = bool(each.page.people & question.people) - bool(each.page.people - question.people)
        return round(hit, 1) + (0.35 if medicine else 0.0) + 0.5 * people, (
            -comparison.first(question, each) if in_order else each.score
        )

    def _ask(
        self,
        found: topic.Topic,
        question: Question,
        kinds: Sequence[intents.Intent],
        budget: int = fitness.BUDGET,
    ) -> fitness.Ask:
        kind = kinds[0] if kinds else intents.named(intents.FALLBACK)
        focus = _focus(found, question)
        musts = self._musts(found, question)
        if kind.name == "safe" and not focus and _says_safe(found.page):
            focus = ("safe",)
        if not kinds and focus and (musts or found.page.medicine) and _JOINED.search(question.text):
            kind = intents.named("safe")
        return fitness.Ask(
            page=found.page,
            question=question,
            kind=_settled(kind, focus, question, found.page),
            second=kinds[1] if len(kinds) > 1 else None,
            focus=focus,
            named=found.own,
            musts=musts,
            vector=self._shelf.encoder.encode([question.text])[0],
            budget=budget,
            fragment=not kinds,
        )

    def _musts(self, found: topic.Topic, question: Question) -> tuple[frozenset[str], ...]:
        """The other medicines that the question names: an answer that leaves one out is wrong."""
        return tuple(
            self._chooser.alike(stem)
            for span in self._finder.medicines(question)
            if found.page.number not in span.owners
            for stem in lexicon.stems(span.name)
            if stem not in found.own
        )

    def _about(self, heard: conversation.Understood, chosen: topic.Topic) -> draft.Draft:
        asked = parts.split(self._reader, heard.question)
        budget = fitness.BUDGET // len(asked) + (10 if len(asked) > 1 else 0)
        body: list[tuple[draft.Quote, ...]] = []
        kinds: list[str] = []
        said: set[int] = set()
        for part in asked:
            ask = self._ask(chosen, part, part.kinds, budget)
            units = [unit for unit in self._units(ask) if unit.at not in said]
            said.update(unit.at for unit in units)
            kinds.append(ask.kind.name)
            if units:
                body.append(_quotes(chosen, units))
        if not body or self._unheard(heard, chosen, kinds):
            if chosen.full:
                return self._nothing_exact(chosen, heard.question)
            return _declined(heard.question)
        return self._closed(chosen, heard.question, body, kinds)

    def _units(self, ask: fitness.Ask) -> list[pages.Unit]:
        if ask.kind.name == "when":
            urgent = bool(_URGENT.search(ask.question.text))
            return self._chooser.blocks(ask, urgent=urgent)
        return self._chooser.choose(ask)

    def _unheard(
        self, heard: conversation.Understood, chosen: topic.Topic, kinds: Sequence[str]
    ) -> bool:
        """True when the question names a medicine of which the page says nothing."""
        if kinds[0] in _WHATEVER_IS_TAKEN:
            return False
        unknown = [span for span in heard.found.strangers if span.medicine]
        return not all(self._mentions([chosen], span) for span in unknown)

    def _nothing_exact(self, chosen: topic.Topic, question: Question) -> draft.Draft:
        page = chosen.page
        defining = page.under("What it is")[:2]
        return draft.Draft(
            lead=wording.NO_EXACT.format(title=title(page)) + " " + wording.ASK,
            body=(_quotes(chosen, defining),),
            closing=_quotes(chosen, page.under("Danger signs")),
            note=wording.note(question, (), page),
            topic=page.card.id,
        )

    def _closed(
        self,
        chosen: topic.Topic,
        question: Question,
        body: list[tuple[draft.Quote, ...]],
        kinds: list[str],
    ) -> draft.Draft:
        page = chosen.page
        used = {quote.unit.at for part in body for quote in part}
        see, danger = (
            [unit for unit in page.under(heading) if unit.at not in used]
            for heading in fitness.BLOCKS
        )
        words = sum(quote.unit.size for part in body for quote in part)
        diagnosis = kinds[0] in ("signs", "yes-no", "care") and wording.DIAGNOSIS.search(
            question.text
        )
        open_ended = diagnosis or not question.kinds or openings.lasted(question.text)
        longest = LONGEST_OPEN if open_ended else LONGEST_WITH_BOTH
        both = words + sum(unit.size for unit in (*see, *danger)) <= longest
        return draft.Draft(
            lead=wording.NO_DIAGNOSIS if diagnosis else "",
            body=tuple(body),
            closing=() if "when" in kinds else _quotes(chosen, [*see, *danger] if both else danger),
            note=wording.note(question, kinds, page),
            topic=page.card.id,
        )


def open_composer(library: pages.Opened) -> Composer:
    """A composer over an opened library; reading its cards takes some tenths of a second.

    It changes nothing once it is made: services of one process that open the same cards share it.

    Raises:
        lexicon.WordListError: the word list for spelling repair is not installed.
    """
    intents.load()
    encoder: Any = library.encoder  # hashable, which the protocol does not say
    return _composer(tuple(library.cards.items()), encoder)


@dataclass(frozen=True, slots=True)
class _Opened:
    cards: Mapping[str, Card]
    encoder: Encoder


@lru_cache(maxsize=2)
def _composer(held: tuple[tuple[str, Card], ...], encoder: Encoder) -> Composer:
    return Composer(pages.build(_Opened(dict(held), encoder), lexicon.load()))


def title(page: pages.Page) -> str:
    """The title as it stands in the middle of a sentence: small unless it opens with a name."""
    whole = page.card.title
    first = whole.split()[0]
    inside = re.compile(rf"[a-z,] {re.escape(first)}\b")
    named = not whole[1:2].islower() or any(inside.search(unit.text) for unit in page.units)
    return whole if named else whole[:1].lower() + whole[1:]


def _quotes(chosen: topic.Topic, units: Sequence[pages.Unit]) -> tuple[draft.Quote, ...]:
    score = min(1.0, max(0.0, chosen.fused))
    return tuple(draft.Quote(chosen.page, unit, score) for unit in units)


def _declined(question: Question) -> draft.Draft:
    return draft.Draft(lead=wording.declining(question.text))


def _focus(found: topic.Topic, question: Question) -> tuple[str, ...]:
    """The stems of the question beyond the topic's own, and those that only its form implies."""
    focus = tuple(stem for stem in question.content if stem not in found.own)
    if wording.STOPPING.search(question.text):
        focus = (*focus, "stop")
    return (*focus, "adult") if _ADULTS.search(question.text) else focus


def _says_safe(page: pages.Page) -> bool:
    return not page.medicine and any("safe" in u.stems for u in page.under("Common questions"))


def _settled(
    kind: intents.Intent, focus: tuple[str, ...], question: Question, page: pages.Page
) -> intents.Intent:
    """A kind that the rest of the question can carry."""
    if kind.name in ("signs", "yes-no") and _READS.search(question.text):
        return intents.named("what")
    if _BEYOND.search(question.text) and not page.medicine:
        return intents.named("yes-no")
    if kind.name == "yes-no" and not focus and not question.people:
        return intents.named("what")
    if kind.name == "safe" and not focus and not question.people and not page.medicine:
        return intents.named("care")
    if kind.name == "difference" and not focus and re.search(r" or | the same ", question.text):
        return intents.named("what")
    if kind.name == "difference" and not focus and not page.under("Compared with"):
        return intents.named("signs")
    return kind
