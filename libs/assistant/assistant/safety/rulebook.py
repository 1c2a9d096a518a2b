"""Reads the lexicon and the rules, and refuses whatever is not complete."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources
from importlib.resources.abc import Traversable
from typing import Any

import yaml

from assistant.safety import measures
from assistant.safety.context import Doubt
from assistant.safety.verdict import Level

_RULE_KEYS = {"id", "level", "source", "reply", "when", "despite", "fire", "not"}
_NEEDED_KEYS = {"id", "level", "source", "reply", "when", "fire", "not"}
_CASE_KEYS = {"all", "unless", "at_least", "of"}


class RulebookError(ValueError):
    """A fault in the rules or the lexicon; the message names the file and what is wrong."""


@dataclass(frozen=True, slots=True)
class Case:
    """Fires when all `needed` are present, a member of each of `choices` is, `at_least` of `of`
    are, and none of `unless` is; `signs` are all that can make it fire."""

    needed: frozenset[str]
    choices: tuple[frozenset[str], ...]
    unless: frozenset[str]
    at_least: int
    of: frozenset[str]
    signs: frozenset[str]

    @property
    def names(self) -> frozenset[str]:
        return self.unless | self.signs


@dataclass(frozen=True, slots=True)
class Rule:
    """A danger, how it is recognised and who says so. `despite` are doubts that do not count."""

    id: str
    level: Level
    source: str
    reply: str
    cases: tuple[Case, ...]
    despite: Doubt
    fire: tuple[str, ...]
    spare: tuple[str, ...]
    signs: frozenset[str]


@dataclass(frozen=True, slots=True)
class Rulebook:
    """All rules, the patterns of all concepts, and the lists of the lexicon."""

    rules: tuple[Rule, ...]
    concepts: Mapping[str, tuple[str, ...]]
    symptoms: frozenset[str]
    cues: Mapping[str, tuple[str, ...]]
    fillers: frozenset[str]
    forms: Mapping[str, str]
    sounds: Mapping[str, tuple[str, ...]]
    ordinary: frozenset[str]


@cache
def load() -> Rulebook:
    """Reads the packaged rules. Raises RulebookError."""
    return read(resources.files("assistant.safety"))


def read(folder: Traversable) -> Rulebook:
    """Reads `rules/*.yaml` and `lexicon/*` under `folder`. Raises RulebookError."""
    concepts: dict[str, tuple[str, ...]] = {}
    symptoms: set[str] = set()
    rules: list[Rule] = []
    for file in [*_files(folder / "lexicon", "concepts"), *_files(folder / "rules", "")]:
        content = _mapping(file)
        for name, patterns in content.get("concepts", {}).items():
            if name in concepts or name in measures.NAMES:
                raise RulebookError(f"{file.name}: concept {name} is defined twice")
            if any(isinstance(pattern, bool) for pattern in patterns):
                raise RulebookError(f"{file.name}: concept {name}: a word needs quotes")
            concepts[name] = tuple(map(str, patterns))
        symptoms.update(content.get("symptoms", ()))
        rules.extend(_rule(file.name, entry) for entry in content.get("rules", ()))
    _check(rules, concepts, symptoms)
    words = _mapping(folder / "lexicon" / "words.yaml")
    return Rulebook(
        rules=tuple(rules),
        concepts=concepts,
        symptoms=frozenset(symptoms),
        cues={
            kind: tuple(cue.strip() for cue in cues.split(","))
            for kind, cues in words["cues"].items()
        },
        fillers=frozenset(str(words["fillers"]).split()),
        forms={form: key for key, forms in words["forms"].items() for form in forms.split()},
        sounds={word: tuple(keys.split()) for word, keys in words["sounds"].items()},
        ordinary=frozenset((folder / "lexicon" / "ordinary.txt").read_text("utf-8").split()),
    )


def _files(folder: Traversable, prefix: str) -> Iterator[Traversable]:
    for file in sorted(folder.iterdir(), key=lambda one: one.name):
        if file.name.endswith(".yaml") and file.name.startswith(prefix):
            yield file


def _mapping(file: Traversable) -> dict[str, Any]:
    try:
        content = yaml.load(file.read_text("utf-8"), Loader=yaml.CSafeLoader)
    except yaml.YAMLError as error:
        raise RulebookError(f"{file.name}: not YAML: {error}") from error
    if not isinstance(content, dict):
        raise RulebookError(f"{file.name}: not a mapping")
    return content


def _rule(file: str, entry: Mapping[str, Any]) -> Rule:
    name = f"{file}: rule {entry.get('id')}"
    if missing := _NEEDED_KEYS - entry.keys():
        raise RulebookError(f"{name}: without {', '.join(sorted(missing))}")
    if unknown := entry.keys() - _RULE_KEYS:
        raise RulebookError(f"{name}: unknown {', '.join(sorted(unknown))}")
    if not (entry["when"] and entry["fire"] and entry["not"] and entry["source"]):
        raise RulebookError(f"{name}: needs cases, a source and examples on both sides")
    try:
        level = Level(entry["level"])
        despite = Doubt(0)
        for doubt in entry.get("despite", ()):
            despite |= Doubt[doubt.upper()]
    except (ValueError, KeyError) as error:
        raise RulebookError(f"{name}: {error}") from error
    cases = tuple(_case(name, case) for case in entry["when"])
    return Rule(
        id=entry["id"],
        level=level,
        source=entry["source"],
        reply=entry["reply"],
        cases=cases,
        despite=despite,
        fire=tuple(entry["fire"]),
        spare=tuple(entry["not"]),
        signs=frozenset(name for case in cases for name in case.signs),
    )


def _case(name: str, entry: Mapping[str, Any]) -> Case:
    if unknown := entry.keys() - _CASE_KEYS:
        raise RulebookError(f"{name}: unknown {', '.join(sorted(unknown))}")
    groups = tuple(
        frozenset([group] if isinstance(group, str) else group) for group in entry.get("all", ())
    )
    of = frozenset(entry.get("of", ()))
    if not groups and not of:
        raise RulebookError(f"{name}: a case that would always fire")
    at_least = int(entry.get("at_least", 0))
    if bool(at_least) != bool(of) or at_least > len(of):
        raise RulebookError(f"{name}: at_least and of do not fit")
    return Case(
        needed=frozenset().union(*(group for group in groups if len(group) == 1)),
        choices=tuple(group for group in groups if len(group) > 1),
        unless=frozenset(entry.get("unless", ())),
        at_least=at_least,
        of=of,
        signs=of.union(*groups),
    )


def _check(
    rules: Sequence[Rule], concepts: Mapping[str, tuple[str, ...]], symptoms: set[str]
) -> None:
    known = concepts.keys() | measures.NAMES
    ids: set[str] = set()
    for rule in rules:
        if rule.id in ids:
            raise RulebookError(f"rule {rule.id} is there twice")
        ids.add(rule.id)
        for case in rule.cases:
            if unknown := case.names - known:
                raise RulebookError(
                    f"rule {rule.id}: no such concept: {', '.join(sorted(unknown))}"
                )
    if strange := symptoms - known:
        raise RulebookError(f"symptoms: no such concept: {', '.join(sorted(strange))}")
