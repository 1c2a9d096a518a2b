"""Reads a question: its words, what they are about, whom it concerns and what kind it is."""

import re
from dataclasses import dataclass

from assistant.extractive import intents, lexicon, repair

MAX_CHARACTERS = 2_000  # of a question; of a longer one what stands in between is not read
_HEAD = 500
_READING = re.compile(r"\b(?:[789]\d|1\d\d|2[0-4]\d)/(?:[3-9]\d|1[0-4]\d)\b(?! blood pressure)")
_AGE = re.compile(
    r"\b(?:aged? )?(\d{1,3})[ -]?(year|month|week|day)s?[ -]?olds?\b|\baged? (\d{1,2})\b"
)
_GROWN = 16
_ANIMALS = (
    "dog|dogs|cat|cats|puppy|puppies|kitten|kittens|hamster|rabbit|horse|pony|parrot|budgie|"
    "guinea pig|goldfish|tortoise|ferret|cow|sheep|goat|pet|pets"
)
_ANIMAL = re.compile(
    rf"\b(?:my|our|his|her|their|the|a|in|for|give|giving|treat)(?: \w+)? (?:{_ANIMALS})\b"
    r"(?! (?:bit|bite|bites|bitten|scratch|scratched|scratches|hair|fur|allergy|allergies))"
)
_BY_ANIMAL = re.compile(
    rf"\b(?:bitten|bite|bit|scratched|scratch|allergic|allergy|stung|catch|caught|licked)"
    rf"(?: \w+){{0,3}} (?:{_ANIMALS})\b"
)
_INFANT = re.compile(
    r"\b(?:bab(?:y|ies)|newborns?|infants?|\d+[ -](?:week|month|day)s?[ -]olds?)\b"
)
_SCHOOL, _WORKPLACE = frozenset({"school", "nursery"}), frozenset({"workplace", "teacher"})
_TRIVIA = re.compile(
    r"^(?:who|when|where) (?:was |were |has |had )?(?:invent|discover|found|won|made)\w*\b"
)
_WITHOUT = re.compile(
    r"\b(?:(?:if|but|as|because|since|and|that) (?:i|he|she|we) (?:cannot|am not allowed to) "
    r"(?:take|have|use)|other than|instead of|besides|apart from|(?:am|is|are) allergic to) "
    r"([\w-]+)"
)
_DIGITS = re.compile(r"[\d.,/]+")
_SAID = {"pregnant": ("pregnancy", "pregnant"), "child": ("child",)}


@dataclass(frozen=True, slots=True)
class Question:
    """One question, read. `content` are the stems that say what it is about, in order."""

    text: str
    words: tuple[str, ...]
    names: tuple[str, ...]  # the words in the singular, as names of topics are compared
    content: tuple[str, ...]
    people: frozenset[str]
    kinds: tuple[intents.Intent, ...]
    elsewhere: bool  # about an animal, or no question of health at all
    without: frozenset[str] = frozenset()  # stems of what the person says they cannot take

    @property
    def infant(self) -> bool:
        """True when a baby is concerned."""
        return bool(_INFANT.search(self.text))

    @property
    def hints(self) -> tuple[str, ...]:
        """Words a title may hold for the people concerned: "fever in children" for "my son"."""
        return tuple(said for who in sorted(self.people) for said in _SAID.get(who, ()))


class Reader:
    """Reads questions with one lexicon and one library's spelling."""

    def __init__(self, words: lexicon.Lexicon, repairer: repair.Repairer) -> None:
        self._lexicon = words
        self._repairer = repairer

    def read(self, question: str) -> Question:
        """The question, read; an empty one has no words."""
        text = _READING.sub(r"\g<0> blood pressure", self._lexicon.normalise(_clipped(question)))
        text = self._lexicon.normalise(self._repairer.text(text))
        words = tuple(lexicon.words(text))
        return Question(
            text=text,
            words=words,
            names=tuple(lexicon.singular(word) for word in words),
            content=self._content(words),
            people=self._people(text, words),
            kinds=intents.find(text),
            elsewhere=_elsewhere(text),
            without=frozenset(
                part
                for found in _WITHOUT.finditer(text)
                for part in lexicon.stems(found[1].split("-"))
            ),
        )

    def part(self, whole: Question, text: str) -> Question:
        """A part of a question, which keeps the whole's people."""
        words = tuple(lexicon.words(text))
        return Question(
            text=text,
            words=words,
            names=tuple(lexicon.singular(word) for word in words),
            content=self._content(words),
            people=whole.people,
            kinds=intents.find(text),
            elsewhere=whole.elsewhere,
            without=whole.without,
        )

    def _content(self, words: tuple[str, ...]) -> tuple[str, ...]:
        known = self._lexicon
        telling = [word for word in words if known.telling(word) and not _DIGITS.fullmatch(word)]
        return tuple(dict.fromkeys(lexicon.stems(telling)))

    def _people(self, text: str, words: tuple[str, ...]) -> frozenset[str]:
        found = {who for who, said in self._lexicon.people.items() if not said.isdisjoint(words)}
        for age in _AGE.finditer(text):
            years = int(age[1] or age[3]) if age[2] in ("year", None) else 0
            if years < _GROWN:
                found.add("child")
            else:
                found.discard("child")
        if not _WORKPLACE & set(words) and _SCHOOL & set(words):
            found.add("child")
        return frozenset(found)


def _clipped(question: str) -> str:
    """The question, or of a very long one its opening and its end, where the point mostly is."""
    if len(question) <= MAX_CHARACTERS:
        return question
    return f"{question[:_HEAD]} {question[_HEAD - MAX_CHARACTERS :]}"


def _elsewhere(text: str) -> bool:
    about_animal = _ANIMAL.search(text) is not None and _BY_ANIMAL.search(text) is None
    return about_animal or _TRIVIA.search(text) is not None
