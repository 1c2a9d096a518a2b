"""Puts an answer together: whose page, which sentences, in which order, and when to get help."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from assistant import turns
from assistant.extractive import (
    comparison,
    conversation,
    draft,
    fitness,
    intents,
    lexicon,
    naming,
    pages,
    parts,
    repair,
    sentences,
    spoken,
    topic,
)
from assistant.extractive.question import Question, Reader

LONGEST_WITH_BOTH = 120  # words: above this only the danger signs close an answer
LONGEST_OPEN = 170  # the same where a complaint was told rather than a question asked
DECLINED = (
    "I have nothing in my library that answers this, so I would rather not guess; "
    "for anything about your health, a pharmacist, nurse or doctor can help."
)
NO_EXACT = "My library has a page on {title}, but nothing on that exact point."
ASK = "A pharmacist or doctor can answer it for you."
ASK_TAKE = "Ask a pharmacist, midwife or doctor before any medicine for {people}."
PEOPLE = {"child": "a child", "pregnant": "pregnancy", "breastfeeding": "breastfeeding"}
ASK_DOSE = {
    "child": "A pharmacist or doctor can tell you the right amount for this child.",
    "pregnant": "In pregnancy, ask a midwife, pharmacist or doctor before any dose.",
    "breastfeeding": "While breastfeeding, ask a pharmacist, midwife or doctor about the dose.",
}
NO_DIAGNOSIS = "I cannot make a diagnosis, but a doctor or nurse can. My library says this:"
NO_STOPPING = "Do not stop or change a prescribed medicine before asking whoever prescribed it."
_DIAGNOSIS = re.compile(
    r"\b(?:do|does|have|has|could|might|can) (?:i|he|she|we|my \w+) (?:have|got|be having)\b(?! to)"
    r"|(?:[.!;,] |\b(?:i|my|he|she)\b.* )(?:so |and )?what (?:is|could|might|can) "
    r"(?:it|this|that)(?: be)?\W*$"
    r"|\b(?:is|could|might|can) (?:it|this|that|these) (?:be )?(?!safe|ok|bad|normal|serious|"
    r"dangerous|contagious|true|better|worse|possible|too|catching|an emergency)"
)
_STOPPING = re.compile(
    r"\b(?:(?:can|could|should|may|if) (?:i|he|she|we|they|my \w+) (?:just |suddenly )?"
    r"(?:stop|come off|quit)|stop(?:ping)? taking|coming off)\b"
)
_URGENT = re.compile(r"\b(?:ambulance|hospital|emergency|999|911|casualty)\b")
_TAKING = re.compile(r"\b(?:take|taking|give|giving|medicines?|tablets?|pills?|drugs?)\b")
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
            return draft.Draft(lead=DECLINED)
        pair = comparison.pair(heard.question, heard.found)
        if pair is not None:
            return self._compared(pair)
        chosen = self._topic(heard)
        if chosen is None:
            return draft.Draft(lead=DECLINED)
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
        return max(full, key=lambda each: self._worth(each, heard.question))

    def _mentions(self, found: Sequence[topic.Topic], span: naming.Span) -> bool:
        alike = self._shelf.lexicon.alike
        wanted = [alike(stem) for stem in lexicon.stems(span.name)]
        return any(
            all(not each.isdisjoint(unit.stems) for each in wanted)
            for one in found[:3]
            for unit in one.page.units
        )

    def _worth(self, each: topic.Topic, question: Question) -> tuple[float, float]:
        ask = self._ask(each, question, intents.find(question.text) or question.kinds)
        hit = self._chooser.reach(ask)
        medicine = each.page.medicine and ask.kind.name in ("safe", "dose", "effects")
        people = bool(each.page.people & question.people) - bool(each.page.people - question.people)
        return round(hit, 1) + (0.35 if medicine else 0.0) + 0.5 * people, each.score

    def _ask(
        self,
        found: topic.Topic,
        question: Question,
        kinds: Sequence[intents.Intent],
        budget: int = fitness.BUDGET,
    ) -> fitness.Ask:
        kind = kinds[0] if kinds else intents.named(intents.FALLBACK)
        own, alike = found.own, self._shelf.lexicon.alike
        focus = tuple(stem for stem in question.content if own.isdisjoint({stem, *alike(stem)}))
        if _STOPPING.search(question.text):
            focus = (*focus, "stop")
        return fitness.Ask(
            page=found.page,
            question=question,
            kind=_settled(kind, focus, question, found.page),
            second=kinds[1] if len(kinds) > 1 else None,
            focus=focus,
            musts=self._musts(found, question),
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
        if not body:
            return self._nothing_exact(chosen) if chosen.full else draft.Draft(lead=DECLINED)
        return self._closed(chosen, heard.question, body, kinds)

    def _units(self, ask: fitness.Ask) -> list[pages.Unit]:
        if ask.kind.name == "when":
            urgent = bool(_URGENT.search(ask.question.text))
            return self._chooser.blocks(ask, urgent=urgent)
        return self._chooser.choose(ask)

    def _nothing_exact(self, chosen: topic.Topic) -> draft.Draft:
        page = chosen.page
        defining = page.under("What it is")[:2]
        return draft.Draft(
            lead=NO_EXACT.format(title=title(page)) + " " + ASK,
            body=(_quotes(chosen, defining),),
            closing=_quotes(chosen, page.under("Danger signs")),
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
        diagnosis = kinds[0] in ("signs", "yes-no", "care") and _DIAGNOSIS.search(question.text)
        open_ended = diagnosis or not question.kinds
        longest = LONGEST_OPEN if open_ended else LONGEST_WITH_BOTH
        both = words + sum(unit.size for unit in (*see, *danger)) <= longest
        return draft.Draft(
            lead=NO_DIAGNOSIS if diagnosis else "",
            body=tuple(body),
            closing=() if "when" in kinds else _quotes(chosen, [*see, *danger] if both else danger),
            note=_note(question, kinds, page),
            topic=page.card.id,
        )


def open_composer(library: pages.Opened) -> Composer:
    """A composer over an opened library; reads its cards once, some tenths of a second.

    Raises:
        lexicon.WordListError: the word list for spelling repair is not installed.
    """
    intents.load()
    return Composer(pages.build(library, lexicon.load()))


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


def _settled(
    kind: intents.Intent, focus: tuple[str, ...], question: Question, page: pages.Page
) -> intents.Intent:
    """A kind that the rest of the question can carry."""
    if kind.name == "yes-no" and not focus and not question.people:
        return intents.named("what")
    if kind.name == "safe" and not focus and not question.people and not page.medicine:
        return intents.named("care")
    if kind.name == "difference" and not focus and not page.under("Compared with"):
        return intents.named("signs")
    return kind


def _note(question: Question, kinds: Sequence[str], page: pages.Page) -> str:
    stops = _STOPPING.search(question.text) is not None
    if stops and (page.medicine or _TAKING.search(question.text)):
        return NO_STOPPING
    people = sorted(question.people)
    if "dose" in kinds and page.medicine:
        return next((ASK_DOSE[who] for who in people if who in ASK_DOSE), "")
    if "care" in kinds and people and _TAKING.search(question.text):
        return ASK_TAKE.format(people=" or ".join(PEOPLE[who] for who in people))
    return ""
