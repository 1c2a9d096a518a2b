"""Tells what kind of question it is, by ordered rules kept as data."""

import functools
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources

MOST = 2
FALLBACK = "care"


@dataclass(frozen=True, slots=True)
class Intent:
    """A kind of question: when it is meant, which headings answer it, what an answer holds."""

    name: str
    meant: re.Pattern[str]
    unless: re.Pattern[str] | None
    sections: Mapping[str, float]
    cue: re.Pattern[str]

    def fits(self, text: str) -> bool:
        """True when the normalised question `text` is of this kind."""
        return bool(self.meant.search(text)) and not (self.unless and self.unless.search(text))


@functools.cache
def load() -> tuple[Intent, ...]:
    """The rules that ship with the package, in order."""
    text = (resources.files("assistant.extractive") / "data" / "intents.toml").read_text("utf-8")
    return tuple(
        Intent(
            name=rule["name"],
            meant=_any(rule["any"]),
            unless=_any(rule["unless"]) if "unless" in rule else None,
            sections=rule["sections"],
            cue=re.compile(rule["cue"], re.IGNORECASE),
        )
        for rule in tomllib.loads(text)["intent"]
    )


@functools.cache
def named(name: str) -> Intent:
    """The rule called `name`; KeyError for none."""
    return {rule.name: rule for rule in load()}[name]


def find(text: str) -> tuple[Intent, ...]:
    """The first two kinds that fit the normalised question, none when nothing does."""
    found: list[Intent] = []
    for rule in load():
        if rule.fits(text):
            found.append(rule)
            if len(found) == MOST:
                break
    return tuple(found)


def _any(patterns: list[str]) -> re.Pattern[str]:
    return re.compile("|".join(f"(?:{pattern})" for pattern in patterns))
