"""The sentences that the language model is built from: what the product ships, and nothing else."""

import hashlib
import re
from collections.abc import Container, Iterable, Iterator
from importlib import resources
from pathlib import Path

import yaml

from voice_service.offline import grammar

_GRAMMARS = (
    "slots.txt",
    "symptoms.txt",
    "names.txt",
    "health.txt",
    "booking.txt",
    "emergency.txt",
    "short.txt",
    "more.txt",
    "plain.txt",
)
_DATA = resources.files("voice_service.offline") / "data"
_RULES = resources.files("assistant.safety") / "rules"
_NAMES = resources.files("assistant.extractive") / "data" / "names.txt"
_PROGRAMS = (
    "building.py",
    "corpora.py",
    "espeak.py",
    "general.py",
    "grammar.py",
    "model.py",
    "ngrams.py",
    "pronunciations.py",
)
_PLAIN = re.compile(r"[a-z]+(?:'[a-z]+)?")
_SENTENCE = re.compile(r"(?<=[.?!])\s+")


def data(name: str) -> str:
    """The text of a data file of this package."""
    return (_DATA / name).read_text(encoding="utf-8")


def templates(library: Path, known: Container[str]) -> grammar.Grammar:
    """The grammars, with what the product knows as the rules `card` (titles and other names of
    the library's cards), `known_condition` and `known_drug`, as far as their words are `known`."""
    cards = sorted({name for path in _cards(library) for name in _names(path)})
    listed = _NAMES.read_text(encoding="utf-8")
    return grammar.parse(
        *(data(name) for name in _GRAMMARS),
        "[card]\n" + "\n".join(cards),
        "[known_condition]\n" + "\n".join(_listed(listed, "conditions", known)),
        "[known_drug]\n" + "\n".join(_listed(listed, "medicines", known)),
    )


def _listed(text: str, section: str, known: Container[str]) -> Iterator[str]:
    lines = text.split(f"[{section}]\n")[1].split("\n[")[0].splitlines()
    for line in lines:
        words = spelled(line)
        if words and all(word in known for word in words):
            yield " ".join(words)


def drugs() -> Iterator[str]:
    """The medicines of the grammars that have a name of one word."""
    empty = "[card]\n[known_condition]\n[known_drug]"
    slots = grammar.parse(empty, *map(data, ("slots.txt", "symptoms.txt", "names.txt")))
    for option in slots.options("drug"):
        if len(option) == 1 and isinstance(part := option[0], grammar.Word):
            yield part.text


def _cards(library: Path) -> list[Path]:
    return sorted(library.glob("*.md"))


def _names(path: Path) -> Iterator[str]:
    front = yaml.load(path.read_text(encoding="utf-8").split("---")[1], yaml.CSafeLoader)
    for name in (front["title"], *front.get("also_called", ())):
        words = spelled(name)
        if words and len(words) < 5:
            yield " ".join(words)


def cards(library: Path) -> Iterator[list[str]]:
    """The sentences of the library's cards."""
    for path in _cards(library):
        body = path.read_text(encoding="utf-8").split("---", 2)[2].split("## Sources")[0]
        for line in body.splitlines():
            if not line.startswith("#"):
                yield from filter(None, map(spelled, _SENTENCE.split(line.lstrip("- "))))


def alarms() -> Iterator[list[str]]:
    """What people say in danger, and what sounds like it: the examples of the safety rules."""
    for path in sorted(_RULES.iterdir(), key=lambda entry: entry.name):
        if path.name.endswith(".yaml"):
            read = yaml.load(path.read_text(encoding="utf-8"), yaml.CSafeLoader)
            for rule in read.get("rules", ()):
                for example in (*rule.get("fire", ()), *rule.get("not", ())):
                    for sentence in _SENTENCE.split(str(example)):
                        yield spelled(sentence)


def spelled(text: str) -> list[str]:
    """The words of a written sentence as the dictionary spells them; none when it holds figures
    or signs that could be read in several ways."""
    plain = text.lower().replace("’", "'").replace("-", " ")
    words = [word.strip("()[]\"'“”:;,.?!…") for word in plain.split()]
    words = [_american().get(word, word) for word in words if word]
    if not all(_PLAIN.fullmatch(word) for word in words):
        return []
    return words


def respelled() -> Iterable[str]:
    """Spellings of which the language model has another."""
    return _american().keys()


_SPELLINGS: dict[str, str] = {}


def _american() -> dict[str, str]:
    if not _SPELLINGS:
        for line in data("spellings.txt").splitlines():
            if line and not line.startswith("#"):
                british, american = line.split()
                _SPELLINGS[british] = american
    return _SPELLINGS


def fingerprint(library: Path, others: Iterable[str] = ()) -> str:
    """Changes when anything does that the model is built from."""
    digest = hashlib.sha256()
    entries = [entry for entry in (*_DATA.iterdir(), *_RULES.iterdir()) if entry.is_file()]
    for entry in sorted(entries, key=lambda entry: entry.name):
        digest.update(entry.name.encode() + entry.read_bytes())
    digest.update(_NAMES.read_bytes())
    here = resources.files("voice_service.offline")
    for name in _PROGRAMS:
        digest.update((here / name).read_bytes())
    for path in _cards(library):
        digest.update(path.read_bytes())
    for other in others:
        digest.update(other.encode())
    return digest.hexdigest()[:16]
