"""Reading cards: what stands in the file is what comes out, and what cannot be read says where."""

from pathlib import Path

import pytest

from assistant.knowledge import cards

CARD = """---
title: Headache
kind: symptom          # a comment is no part of it
also_called: [head pain, sore head]
not_this: [head lice]
reviewed: 2026-11
---
## What it is
Headache is pain in the head, the scalp or the upper neck.

## What to do
- Drink water through the day.
- Rest in a quiet room.

## Sources
- NHS: Headaches. https://www.nhs.uk/conditions/headaches/
- MedlinePlus: Headache. https://medlineplus.gov/headache.html
"""


def test_a_card_has_its_fields() -> None:
    card = cards.parse(CARD, document_id="headache")
    assert (card.id, card.title, card.kind, card.reviewed) == (
        "headache", "Headache", "symptom", "2026-11",
    )  # fmt: skip
    assert card.also_called == ("head pain", "sore head")
    assert card.not_this == ("head lice",)
    assert [each.heading for each in card.sections] == ["What it is", "What to do", "Sources"]
    assert card.sources[1] == cards.Source(
        "MedlinePlus", "Headache", "https://medlineplus.gov/headache.html"
    )


def test_a_section_stands_at_its_offset_and_line() -> None:
    card = cards.parse(CARD, document_id="headache")
    for section in card.sections:
        assert card.body[section.offset : section.offset + len(section.text)] == section.text
    steps = card.section("What to do")
    assert steps is not None
    assert CARD.splitlines()[card.line(steps.offset) - 1] == "- Drink water through the day."
    assert card.section("Children") is None


@pytest.mark.parametrize(
    ("old", "new", "line", "words"),
    [
        ("---\ntitle", "title", 1, "no front matter"),
        ("title: Headache", "title: [", 4, "not YAML"),
        ("title: Headache\n", "", 1, "'title'"),
        ("not_this: [head lice]", "not_this: head lice", 1, "'not_this'"),
        ("not_this:", "not_that:", 1, "unknown key"),
        ("## What it is", "Hello.\n## What it is", 8, "before the first heading"),
        ("- MedlinePlus: Headache. ", "- MedlinePlus ", 17, "a source reads"),
    ],
)
def test_what_cannot_be_read_says_where(old: str, new: str, line: int, words: str) -> None:
    with pytest.raises(cards.CardError, match=words) as broken:
        cards.parse(CARD.replace(old, new, 1), document_id="headache")
    assert broken.value.line == line
    assert broken.value.document_id == "headache"


def test_a_card_may_not_grow_without_end() -> None:
    with pytest.raises(cards.CardError, match="longer than"):
        cards.parse(CARD + "x" * cards.MAX_CHARACTERS, document_id="headache")


def test_a_folder_loads_in_order_of_ids(tmp_path: Path) -> None:
    for name in ("sore-throat", "headache", "README"):
        (tmp_path / f"{name}.md").write_text(CARD, encoding="utf-8")
    assert [card.id for card in cards.load(tmp_path)] == ["headache", "sore-throat"]
    (tmp_path / "latin.md").write_bytes(b"---\ntitle: caf\xe9\n---\n")
    with pytest.raises(cards.CardError, match="not UTF-8"):
        cards.load(tmp_path)
