"""Words and numbers for each verdict, by the place that a locale names."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any

import yaml

from assistant.safety.rulebook import Rule, RulebookError
from assistant.safety.verdict import Level, Resource

_ANYWHERE = "*"
_EMERGENCY_NUMBER = "your local emergency number (112 or 911 in many countries)"


@dataclass(frozen=True, slots=True)
class Line:
    """A help line: what it helps with and the regions (ISO 3166) where it answers."""

    resource: Resource
    helps: frozenset[str]
    region: str


@dataclass(frozen=True, slots=True)
class Replies:
    """Templates and numbers, from the packaged YAML files."""

    numbers: Mapping[str, str]
    openings: Mapping[str, str]
    says: Mapping[str, str]
    helps: Mapping[str, tuple[str, ...]]
    lines: tuple[Line, ...]
    failed: str

    def message(self, level: Level, rules: Sequence[Rule], locale: str) -> str:
        """Returns what to say first for `rules`, which fired, the most pressing first."""
        region = _region(locale)
        number = self.number(locale)
        parts = [self.openings[level.value], self.says[rules[0].reply]]
        crisis = next((rule for rule in rules if rule.level is Level.CRISIS), None)
        if level is Level.EMERGENCY and crisis is not None:
            parts.append(self.says[crisis.reply])
        lines = self._lines(rules, region)
        named = f"{lines[0].resource.name} ({lines[0].resource.number})" if lines else number
        text = " ".join(part.strip() for part in parts if part)
        return text.replace("{number}", number).replace("{line}", named)

    def resources(self, level: Level, rules: Sequence[Rule], locale: str) -> tuple[Resource, ...]:
        """Returns the numbers that go with the verdict; the emergency number always leads."""
        region = _region(locale)
        first = Resource("Emergency services", self.numbers.get(region, "112"), locale)
        if region not in self.numbers:
            first = Resource(_EMERGENCY_NUMBER, "112", _ANYWHERE)
        lines = tuple(line.resource for line in self._lines(rules, region))
        if level in (Level.EMERGENCY, Level.CRISIS):
            return (first, *lines)
        return lines

    def failure(self, locale: str) -> str:
        """Returns the plain sentence for a gate that could not read the message."""
        return self.failed.replace("{number}", self.number(locale))

    def number(self, locale: str) -> str:
        """Returns what to call in an emergency, in words where the place is not known."""
        return self.numbers.get(_region(locale), _EMERGENCY_NUMBER)

    def _lines(self, rules: Sequence[Rule], region: str) -> list[Line]:
        wanted = {need for rule in rules for need in self.helps.get(rule.reply, ())}
        here = [line for line in self.lines if line.region == region and line.helps & wanted]
        missing = wanted - {need for line in here for need in line.helps}
        rest = [one for one in self.lines if one.region == _ANYWHERE and one.helps & missing]
        return here + rest


@cache
def load() -> Replies:
    """Reads the packaged replies. Raises RulebookError."""
    folder = resources.files("assistant.safety") / "replies"
    says = yaml.safe_load((folder / "says.yaml").read_text("utf-8"))
    places = yaml.safe_load((folder / "lines.yaml").read_text("utf-8"))
    if missing := {level.value for level in Level} - says["openings"].keys():
        raise RulebookError(f"says.yaml: no opening for {', '.join(sorted(missing))}")
    return Replies(
        numbers={region: str(number) for region, number in places["numbers"].items()},
        openings=says["openings"],
        says={name: entry["say"] for name, entry in says["replies"].items()},
        helps={name: tuple(entry.get("help", ())) for name, entry in says["replies"].items()},
        lines=tuple(_lines(places["lines"])),
        failed=says["failed"],
    )


def _lines(entries: Mapping[str, Sequence[Mapping[str, Any]]]) -> Iterator[Line]:
    for region, lines in entries.items():
        for line in lines:
            locale = _ANYWHERE if region == _ANYWHERE else f"en-{region}"
            resource = Resource(str(line["name"]), str(line["number"]), locale)
            yield Line(resource, frozenset(line["helps"]), region)


def _region(locale: str) -> str:
    """The region of a BCP 47 tag; a bare language tag has none."""
    parts = locale.replace("_", "-").split("-")
    return next((part.upper() for part in parts[1:] if len(part) == 2), "")
