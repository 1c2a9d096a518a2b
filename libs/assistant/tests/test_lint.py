"""The rules for writing cards: a good card passes, and each rule catches its breach."""

from pathlib import Path

import pytest

from assistant.knowledge import cards, lint

CARD = """---
title: Headache
kind: symptom
also_called: [head pain, sore head, head pounding]
not_this: [cluster headache, head lice]
reviewed: 2026-11
---
## What it is
Headache is pain in the head, the scalp or the upper neck. Most headaches are harmless.

## Causes
Headache often comes from tension in the muscles of the neck. Head pain may follow poor sleep.

## Signs
Tension headache feels like a tight band around the head. Headaches of this kind are mild.

## How long it lasts
A tension headache lasts from 30 minutes to several days.

## What to do
- Drink enough water through the day.
- Take paracetamol as the packet says (never more than eight tablets a day).

## What not to do
- Do not take painkillers for a headache on more than ten days a month.

## Common questions
A headache is not catching. Headaches are seldom a sign of a tumour.

## Compared with
Tension headache is felt on both sides, while migraine is often felt on one side.

## When to see someone
See a doctor if a headache keeps coming back or painkillers do not help a headache at all.

## Danger signs
Call emergency services if a headache is sudden and the worst ever. Go to hospital if a headache \
comes with a stiff neck and fever.

## Sources
- NHS: Headaches. https://www.nhs.uk/conditions/headaches/
"""
LONG = "Headache " + "and more " * 13 + "ends."


def rules(text: str, document_id: str = "headache") -> set[str]:
    return {each.rule for each in lint.check(cards.parse(text, document_id=document_id))}


def test_a_good_card_passes() -> None:
    assert lint.check(cards.parse(CARD, document_id="headache")) == []


@pytest.mark.parametrize(
    ("old", "new", "rule"),
    [
        ("kind: symptom", "kind: illness", "kind"),
        ("title: Headache", "title: headache", "title"),
        ("reviewed: 2026-11", "reviewed: last week", "reviewed"),
        ("[head pain, sore head, head pounding]", "[]", "also_called"),
        ("head pounding]", "headache]", "also_called"),
        ("[cluster headache", "[sore head", "not_this"),
        ("## Causes", "## Reasons", "heading"),
        ("## Signs\n", "## Side effects\n", "heading"),
        ("## Causes", "## Treatment\n\n## Causes", "heading"),
        ("## Causes", "## Treatment", "order"),
        ("## Causes", "## Signs", "heading"),
        ("## What to do", "## Treatment", "required"),
        ("## Danger signs", "## Pregnancy", "required"),
        ("Most headaches are harmless.", LONG, "long"),
        ("Drink enough", LONG + " Drink enough", "long"),
        ("Most headaches", "They", "dangling"),
        ("Most headaches", "Some headaches", "dangling"),
        ("Drink enough water", "It helps to drink water", "dangling"),
        ("Most headaches are harmless.", "Are headaches harmless?", "unfinished"),
        ("Most headaches are harmless.", "Most pains are harmless.", "topic"),
        ("Headache is pain", "Pain makes a headache", "definition"),
        ("- Drink enough", "For a headache:\n- Drink enough", "steps"),
        ("- Drink enough", "- Rest well.\n" * 5 + "- Drink enough", "steps"),
        ("- Drink enough water", "- Never drink beer", "steps"),
        ("- Do not take", "- Take", "prohibition"),
        ("Call emergency services if a headache", "If a headache", "block"),
        ("See a doctor if a headache keeps coming back or", "See a doctor if", "block"),
        ("Call emergency services if", "- Call emergency services if", "block"),
        ("if a headache is sudden", "if a headache is sudden (minutes)", "spoken"),
        (", while migraine", ", and migraine", "comparison"),
        ("while migraine is", "while head pain is", "comparison"),
        ("https://www", "http://www", "sources"),
        ("- NHS: Headaches. https://www.nhs.uk/conditions/headaches/", "", "sources"),
        ("harmless.", "harmless. " + "Headache is pain in the head. " * 60, "size"),
        ("Most headaches", "Most **headaches**", "plain"),
    ],
)
def test_each_rule_catches_its_breach(old: str, new: str, rule: str) -> None:
    assert old in CARD
    assert rule in rules(CARD.replace(old, new, 1))


def test_ids_are_kebab_case() -> None:
    assert "id" in rules(CARD, "Head_ache")


def test_a_finding_names_the_line() -> None:
    text = CARD.replace("Head pain may follow poor sleep.", "\nThis may follow poor sleep.")
    lines = {each.line for each in lint.check(cards.parse(text, document_id="headache"))}
    assert [text.splitlines()[line - 1] for line in lines] == ["This may follow poor sleep."]


def test_a_name_belongs_to_one_card() -> None:
    one = cards.parse(CARD, document_id="headache")
    two = cards.parse(CARD.replace("title: Headache", "title: Migraine"), document_id="migraine")
    claimed = [each for each in lint.check_folder([one, two]) if each.rule == "claimed"]
    assert {each.document_id for each in claimed} == {"migraine"}
    assert len(claimed) == 3


def test_a_medicine_tells_how_to_take_it() -> None:
    text = CARD.replace("kind: symptom", "kind: medicine")
    reasons = {each.reason for each in lint.check(cards.parse(text, document_id="headache"))}
    assert reasons == {"needs the heading 'How to take it'", "needs the heading 'Side effects'"}


def test_the_command_prints_one_line_a_finding(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    good, bad = tmp_path / "headache.md", tmp_path / "broken.md"
    good.write_text(CARD, encoding="utf-8")
    bad.write_text("no front matter", encoding="utf-8")
    assert lint.main([str(tmp_path)]) == 1
    assert capsys.readouterr().out.startswith(f"{bad}:1 unreadable: ")
    assert lint.main([str(tmp_path), str(good)]) == 0
    assert lint.main([]) == 2
