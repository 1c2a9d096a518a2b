"""The words library mode knows: stop words, spelling variants, synonyms, names of conditions."""

import functools
import gzip
import importlib.metadata
import json
import re
import tomllib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from importlib import resources

import Stemmer

_WORD = re.compile(r"[a-z0-9]+(?:['/.-][a-z0-9]+)*")
_APOSTROPHES = str.maketrans({"’": "'", "‘": "'", "`": "'", "´": "'"})
_WORD_LIST = ("pyspellchecker", "spellchecker/resources/en.json.gz")
_NO_PLURAL = """
    diabetes rabies herpes measles mumps piles shingles hives scabies gas bus his its this is was
    has does lens always yes plus asbestos virus various serious us as less menopause pants
"""
_KEEP_S = frozenset(_NO_PLURAL.split())
_STEMMER = Stemmer.Stemmer("english")

Name = tuple[str, ...]


class WordListError(RuntimeError):
    """The English word list for spelling repair is not installed."""


@dataclass(frozen=True, slots=True)
class Lexicon:
    """What `data/` holds, read once; all words are lower case."""

    stop: frozenset[str]
    frame: frozenset[str]
    frame_stems: frozenset[str]
    variants: Mapping[str, str]
    openings: tuple[tuple[re.Pattern[str], Mapping[str, str]], ...]
    people: Mapping[str, frozenset[str]]
    synonyms: Mapping[str, frozenset[str]]  # stem to the stems that count as the same
    opposites: tuple[tuple[Name, Name], ...]
    group_stems: Mapping[str, frozenset[str]]  # a medicine's stem to those of its group
    conditions: frozenset[Name]
    medicines: frozenset[Name]
    english: frozenset[str]

    def normalise(self, text: str) -> str:
        """`text` in lower case with contractions opened and everyday variants made one."""
        text = self._opened(text)
        return _WORD.sub(lambda found: self.variants.get(found.group(), found.group()), text)

    def words(self, text: str) -> list[str]:
        """The words of `text` as `normalise` leaves them; quicker where only these are wanted."""
        found: list[str] = []
        for word in words(self._opened(text)):
            meant = self.variants.get(word)
            found += words(meant) if meant else [word]
        return found

    def _opened(self, text: str) -> str:
        text = " ".join(text.lower().translate(_APOSTROPHES).split())
        for pattern, table in self.openings:
            text = pattern.sub(_lookup(table), text)
        return text

    def telling(self, word: str) -> bool:
        """True for a word that says what a question is about, not how it is asked."""
        if word in self.stop or word in self.frame or stem(word) in self.frame_stems:
            return False
        return len(word) > 1 and not any(word in said for said in self.people.values())

    def alike(self, stem_: str) -> frozenset[str]:
        """The stems that mean much the same as `stem_`, itself among them."""
        return self.synonyms.get(stem_, frozenset((stem_,)))


def words(text: str) -> list[str]:
    """The words of normalised text, without possessive endings; "150/95" stays one word."""
    found = []
    for word in _WORD.findall(text):
        word = word.removesuffix("'s")
        parts = word.split("-") if not word[0].isdigit() else [word]
        found += [part.replace("'", "") for part in parts if part]
    return found


@functools.lru_cache(maxsize=20_000)
def singular(word: str) -> str:
    """`word` without a plural ending; the same rule on both sides, not a dictionary."""
    if len(word) < 4 or word in _KEEP_S or not word.endswith("s"):
        return word
    if word.endswith("ies") and len(word) > 4:
        return word[:-3] + "y"
    if word.endswith(("ches", "shes", "sses", "xes")):
        return word[:-2]
    return word if word.endswith(("ss", "us", "is")) else word[:-1]


def stem(word: str) -> str:
    """The stem of one word."""
    return str(_STEMMER.stemWord(word))


def stems(found: Iterable[str]) -> list[str]:
    """The stem of each word."""
    return list(_STEMMER.stemWords(list(found)))


def phrase(name: str) -> Name:
    """A name as the singular words by which it is compared."""
    return tuple(singular(word) for word in words(name))


@functools.cache
def load() -> Lexicon:
    """The lexicon that ships with the package."""
    tables = tomllib.loads(_read("words.toml"))
    conditions, medicines = _names(_read("names.txt"))
    variants: dict[str, str] = tables["variants"]
    return Lexicon(
        stop=frozenset(tables["stop"].split()),
        frame=frozenset(tables["frame"].split()),
        frame_stems=frozenset(stems(tables["frame"].split())),
        variants=variants,
        openings=(_opening(tables["contractions"]), _opening(tables["phrases"])),
        people={who: frozenset(said.split()) for who, said in tables["people"].items()},
        synonyms=_synonyms(tables["synonyms"]["groups"]),
        opposites=tuple((phrase(a), phrase(b)) for a, b in tables["opposites"]["pairs"]),
        group_stems=_groups(tables["groups"]),
        conditions=conditions,
        medicines=medicines,
        english=_english(),
    )


def _lookup(table: Mapping[str, str]) -> Callable[[re.Match[str]], str]:
    return lambda found: table[found.group()]


def _read(name: str) -> str:
    return (resources.files("assistant.extractive") / "data" / name).read_text(encoding="utf-8")


def _opening(table: dict[str, str]) -> tuple[re.Pattern[str], Mapping[str, str]]:
    longest_first = sorted(table, key=lambda key: (-len(key), key))
    pattern = "|".join(re.escape(key) for key in longest_first)
    return re.compile(rf"(?<![\w'])(?:{pattern})(?![\w'])"), table


def _synonyms(groups: list[str]) -> dict[str, frozenset[str]]:
    alike: dict[str, set[str]] = {}
    for group in groups:
        members = set(stems(words(group)))
        for member in members:
            alike.setdefault(member, {member}).update(members)
    return {member: frozenset(found) for member, found in alike.items()}


def _groups(table: dict[str, str]) -> dict[str, frozenset[str]]:
    return {
        stem(medicine): frozenset(stems(words(group)))
        for group, medicines in table.items()
        for medicine in medicines.split()
    }


def _names(text: str) -> tuple[frozenset[Name], frozenset[Name]]:
    """Conditions and procedures, then medicines."""
    found: dict[str, set[Name]] = {}
    part = ""
    for line in text.splitlines():
        if line.startswith("["):
            part = line.strip("[]")
        elif line and not line.startswith("#"):
            found.setdefault(part, set()).add(phrase(line))
    return frozenset(found["conditions"] | found["procedures"]), frozenset(found["medicines"])


def _english() -> frozenset[str]:
    """The word list of the `pyspellchecker` wheel, read as data: its package is not imported."""
    name, path = _WORD_LIST
    try:
        wheel = importlib.metadata.distribution(name)
        with gzip.open(str(wheel.locate_file(path)), "rb") as file:
            return frozenset(json.load(file))
    except (importlib.metadata.PackageNotFoundError, FileNotFoundError) as absent:
        raise WordListError(f"the wheel {name!r} with its word list is not installed") from absent
