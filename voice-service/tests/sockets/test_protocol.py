"""The protocol's paper names every message, field, close code and limit."""

from typing import Any

from kit import settings
from voice_service.sockets import messages
from voice_service.sockets.lines import Code

PAPER = (settings.home() / "docs" / "voice-protocol.md").read_text(encoding="utf-8")


def models() -> list[dict[str, Any]]:
    """The schema of each message."""
    found: list[dict[str, Any]] = []
    for adapter in messages.SCHEMAS.values():
        schema = adapter.json_schema()
        found += schema["$defs"].values() if "$defs" in schema else [schema]
    return found


def test_every_message_and_field_is_on_paper() -> None:
    assert len(models()) == 18
    for model in models():
        for name, field in model["properties"].items():
            for word in (name, field.get("const"), *field.get("enum", ())):
                assert word is None or f"`{word}`" in PAPER, (model["title"], word)


def test_every_close_code_is_on_paper() -> None:
    for code in Code:
        assert str(code.value) in PAPER


def test_every_message_and_field_says_what_it_is() -> None:
    for model in models():
        assert model["description"]
