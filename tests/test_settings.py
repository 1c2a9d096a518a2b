"""What can be set has limits, which a slip of the hand does not take away, and the defaults that
the README names."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from kit.settings import Settings
from medbot import services

README = (Path(__file__).resolve().parents[1] / "README.md").read_text()
READ = [one.reads for one in services.IN_ORDER]
TOP = ({"maximum", "exclusiveMaximum"}, {"minimum", "exclusiveMinimum"})


def kinds(schema: dict[str, Any]) -> list[dict[str, Any]]:
    """A setting's schema, or those of which one must hold."""
    found: list[dict[str, Any]] = schema.get("anyOf", [schema])
    return found


@pytest.mark.parametrize("reads", READ)
def test_every_number_has_a_least_and_a_most(reads: type[Settings]) -> None:
    properties = reads.model_json_schema()["properties"]
    numbers = {
        name: kind
        for name, schema in properties.items()
        for kind in kinds(schema)
        if kind.get("type") in {"integer", "number"}
    }
    assert len(numbers) > 5
    unbounded = {name for name, kind in numbers.items() if not all(end & set(kind) for end in TOP)}
    assert unbounded == set()


def told() -> Iterator[tuple[str, str]]:
    """Settings with the defaults of the README's table, where that is a number, a yes or no, or an
    address."""
    for row, default in re.findall(r"^\| (`[A-Z].*?) \| (.*?) \| ", README, re.MULTILINE):
        names, values = re.findall(r"`([A-Z_]+)`", row), default.replace("`", "").split(", ")
        for name, value in zip(names, values, strict=False):
            if len(names) == len(values) and re.fullmatch(r"[0-9.]+|true|false|http\S+", value):
                yield name, value


@pytest.mark.parametrize("reads", READ)
def test_the_defaults_of_the_readme_are_those_of_the_code(reads: type[Settings]) -> None:
    fields = reads.model_fields
    pairs = [
        (name, value, fields[name.lower()]) for name, value in told() if name.lower() in fields
    ]
    assert len(pairs) > 5
    wrong = {name: field.default for name, value, field in pairs if not same(field.default, value)}
    assert wrong == {}


def same(default: object, value: str) -> bool:
    if isinstance(default, bool):
        return str(default).lower() == value
    if isinstance(default, int | float):
        return float(default) == float(value)
    return (",".join(default) if isinstance(default, tuple) else default) == value
