"""What can be set has limits: a slip of the hand does not take one away."""

from typing import Any

import pytest

from kit.settings import Settings
from medbot import services

TOP = ({"maximum", "exclusiveMaximum"}, {"minimum", "exclusiveMinimum"})


def kinds(schema: dict[str, Any]) -> list[dict[str, Any]]:
    """A setting's schema, or those of which one must hold."""
    found: list[dict[str, Any]] = schema.get("anyOf", [schema])
    return found


@pytest.mark.parametrize("reads", [one.reads for one in services.IN_ORDER])
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
