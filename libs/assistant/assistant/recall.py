"""Recall: what a person has said of themselves, kept short enough to be told to a model for ever.

A running summary is a list of facts, sentences of the person each with the message that it stands
in. New messages are merged into it, and every kind of fact has room of its own, so that a long talk
of one thing pushes out nothing of another: an allergy that was named at the start stays.

Kinds are told by English words, and people have others. So the first messages are kept as they
were written, whatever they say, and of what bears no sign the sentences stay whose words are rare
in this conversation: "penicillin nearly killed me" among a thousand headaches.
"""

import math
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

Kind = Literal[
    "allergy", "medicine", "condition", "pregnancy", "person", "opening", "symptom", "other"
]

ROOM: dict[Kind, int] = {
    "allergy": 800,
    "medicine": 800,
    "condition": 600,
    "pregnancy": 300,
    "person": 400,
    "opening": 2_400,
    "symptom": 700,
    "other": 1_000,
}
"""Characters that the facts of a kind may take together."""

LONGEST = 240
"""Characters of one fact; what is longer is cut at a word."""

OPENINGS = 12
"""So many first messages are kept whatever they say, as far as their room goes."""

HEADINGS: dict[Kind, str] = {
    "allergy": "Allergies and reactions",
    "medicine": "Medicines",
    "condition": "Conditions and operations",
    "pregnancy": "Pregnancy and breastfeeding",
    "person": "About the person",
    "opening": "At the start the person wrote",
    "symptom": "Symptoms",
    "other": "Also said",
}

_WORDS: tuple[tuple[Kind, str], ...] = (
    (
        "allergy",
        r"allerg|anaphyla|intoleran|epipen|(?:bad(?:ly)? |nasty )?react(?:ed|ion)s? to|"
        r"(?:brings?|brought) me out in|gives? me (?:a rash|hives)",
    ),
    (
        "pregnancy",
        r"pregnan|breast.?feed|trimester|miscarr|post.?(?:partum|natal)|gave birth|"
        r"weeks along|expecting a (?:baby|child)|my due date",
    ),
    (
        "medicine",
        r"(?:i|he|she|they|we)(?:'m| am|'s| is|'ve| have| was| were)?"
        r"(?: (?:been|now|also|still|just|only|usually|already|put))* (?:tak(?:e|es|ing|en)|"
        r"took|on (?!(?:my|the|an?|our|your|holiday|vacation|top)\b)|us(?:e|es|ing)|"
        r"prescribed|given|start(?:ed)?|stopp?(?:ed)?|inject\w*)\b|"
        r"medic(?:ine|ation)|prescri|tablets?\b|pills?\b|insulin|inhaler|warfarin|metformin|"
        r"statin|steroid|antibiotic|\d+ ?(?:mg|mcg|ml|micrograms?|milligrams?|units?)\b",
    ),
    (
        "condition",
        r"diabet|asthma|epilep|hypertens|(?:high|low) blood pressure|heart (?:failure|disease|"
        r"attack|murmur|condition)|strokes?\b|cancer|tumou?r|kidney|liver|hiv\b|copd|coeliac|"
        r"depress|bipolar|schizo|anxiety|thyroid|pacemaker|transplant|immun|diagnos|"
        r"history of|runs in (?:my|the) family|surger|operation|operated|removed|sickle|"
        r"haemophil|hemophil|arthritis|migraines?\b|dementia|parkinson|lupus|crohn|colitis",
    ),
    (
        "person",
        r"my name(?:'s| is)|i(?:'m| am) called|call me|this is \w+ (?:speaking|here)|"
        r"(?:i(?:'m| am)|he(?:'s| is)|she(?:'s| is)|(?:is|was|turned|aged?)) (?:aged? )?\d{1,3}\b|"
        r"\d{1,3}.(?:years?|months?|weeks?|days?).old|i(?:'m| am) an? (?:\w+ )?(?:man|woman|"
        r"girl|boy|mother|father|nurse|doctor|carer|student|smoker|vegan|vegetarian)|i weigh|"
        r"i live|i work|i smoke|i drink|my (?:son|daughter|baby|child|wife|husband|partner|"
        r"mother|father|mum|mom|dad)(?:'s| is| has)",
    ),
    (
        "symptom",
        r"pain|ach(?:e|es|ing)\b|\w+aches?\b|hurt|sore|fever|temperature|cough|rash|itch|swell|"
        r"swollen|bleed|blood|vomit|sick\b|nausea|dizz|faint|tired|exhaust|numb|tingl|weak|"
        r"breath|wheez|diarrh|constipat|burn(?:s|ing|t)?\b|cramp|throw(?:ing)? up|shak|sweat|"
        r"chills?\b|lump|blurr|vision|sleep|insomnia|palpitat|discharge|bruis|stiff|fell\b|"
        r"injur|broke|cut my|bitten|stung|feel(?:s|ing)?\b|felt\b",
    ),
    ("other", r"(?:[^\W_]+\W+){2}[^\W_]"),  # whatever was told, in three words or more
)
_SIGNS = tuple((kind, re.compile(rf"\b(?:{words})", re.IGNORECASE)) for kind, words in _WORDS)
_SENTENCE = re.compile(r"[^.!?\n]+(?:[.!?](?!\s|$)[^.!?\n]*)*[.!?]*")
_ASKS = re.compile(
    r"^(?:and |but |so |or |then )?(?:can|could|should|shall|may|might|must|is|are|was|were|do|"
    r"does|did|will|would|has|have|what|when|where|which|who|whom|whose|why|how)\b",
    re.IGNORECASE,
)
_OWN = re.compile(r"\b(?:i|i'm|i've|my|me|mine|we|our|he|she|his|her)\b", re.IGNORECASE)
_WORD = re.compile(r"[^\W\d_]+")


@dataclass(frozen=True, slots=True)
class Said:
    """One message of the person; `ref` names it, `seq` is its place in the conversation."""

    seq: int
    ref: str
    text: str


@dataclass(frozen=True, slots=True)
class Fact:
    """A sentence of the person that later answers may need."""

    kind: Kind
    seq: int
    ref: str
    text: str


def merge(known: Iterable[Fact], said: Sequence[Said]) -> list[Fact]:
    """`known` with what `said` adds, each kind within its room, in the order it was said."""
    facts = [*known, *(fact for message in said for fact in extract(message))]
    openings = [Fact("opening", m.seq, m.ref, _cut(" ".join(m.text.split()))) for m in said]
    facts += [opening for opening in openings if opening.text]
    kept: list[Fact] = []
    for kind in get_args(Kind):
        own = sorted((f for f in facts if f.kind == kind), key=lambda fact: fact.seq)
        keep = _KEEP.get(kind, _within)
        kept += keep(_distinct(own), ROOM[kind])
    return kept


def extract(message: Said) -> list[Fact]:
    """The facts of one message: each sentence once, under the first kind whose signs it bears."""
    found = []
    for sentence in _SENTENCE.findall(message.text.replace("’", "'")):
        text = " ".join(sentence.split())
        if _is_question(text):
            continue
        for kind, sign in _SIGNS:
            if sign.search(text):
                found.append(Fact(kind, message.seq, message.ref, _cut(text)))
                break
    return found


def told(facts: Iterable[Fact], prose: str | None = None) -> str:
    """The summary as a person and a model read it; empty without facts and prose."""
    lines = [prose.strip()] if prose else []
    held = list(facts)
    shown: set[str] = set()
    for kind in get_args(Kind):
        own = [f.text for f in held if f.kind == kind and f.text not in shown]
        shown.update(own)
        if own:
            lines.append(f"{HEADINGS[kind]}: {' / '.join(own)}")
    return "\n".join(lines)


def _is_question(text: str) -> bool:
    """A mere question. One that tells something first ("I'm on warfarin, may I …?") is none."""
    if not text.endswith("?") and not _ASKS.match(text):
        return False
    return bool(_ASKS.match(text)) or not _OWN.search(text)


def _cut(text: str) -> str:
    if len(text) <= LONGEST:
        return text
    return text[: LONGEST - 1].rsplit(" ", 1)[0].rstrip() + "…"


def _distinct(facts: Sequence[Fact]) -> list[Fact]:
    """Facts whose words were not all said before; numbers alone make no fact new, doses do."""
    seen: set[str] = set()
    fresh = []
    for fact in facts:
        words = fact.text.lower() if fact.kind in {"medicine", "allergy"} else ""
        key = words or " ".join(_WORD.findall(fact.text.lower())) or fact.text
        if key not in seen:
            seen.add(key)
            fresh.append(fact)
    return fresh


def _within(facts: Sequence[Fact], room: int) -> list[Fact]:
    """The oldest facts up to half of the room, then the newest that fit into the rest."""
    first: list[Fact] = []
    used = 0
    for fact in facts:
        if used + len(fact.text) > room / 2:
            break
        used += len(fact.text)
        first.append(fact)
    last: list[Fact] = []
    for fact in reversed(facts[len(first) :]):
        if used + len(fact.text) > room:
            break
        used += len(fact.text)
        last.append(fact)
    return first + last[::-1]


def _first(facts: Sequence[Fact], room: int) -> list[Fact]:
    """The oldest facts that fit into the room."""
    kept: list[Fact] = []
    for fact in facts[:OPENINGS]:
        room -= len(fact.text)
        if room < 0:
            break
        kept.append(fact)
    return kept


def _rarest(facts: Sequence[Fact], room: int) -> list[Fact]:
    """The facts whose words are the rarest among all of them, in the order they were said."""
    words = [set(_WORD.findall(fact.text.lower())) for fact in facts]
    often = Counter(word for each in words for word in each)

    def common(place: int) -> tuple[float, int]:
        rare = sorted(often[word] for word in words[place])[:3]
        return (sum(rare) / len(rare) if rare else math.inf, place)

    chosen = []
    for place in sorted(range(len(facts)), key=common):
        if len(facts[place].text) <= room:
            room -= len(facts[place].text)
            chosen.append(place)
    return [facts[place] for place in sorted(chosen)]


_KEEP: Mapping[Kind, Callable[[Sequence[Fact], int], list[Fact]]] = {
    "opening": _first,
    "other": _rarest,
}
"""How a kind is kept within its room, where it is not the oldest and the newest that stay."""
