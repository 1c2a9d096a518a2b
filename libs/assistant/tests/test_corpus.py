"""Collections in JSON lines: what is read, and how what cannot be read is named."""

import gzip
import json
from pathlib import Path

import pytest

from assistant.knowledge import cards, corpus

ANSWER = {
    "id": "A_1", "document": "A", "source": "NIH", "url": "https://nih.gov/a", "focus": "Asthma",
    "question_type": "symptoms", "question": "How do I know?", "answer": "Asthma makes you wheeze.",
}  # fmt: skip


def write(path: Path, *lines: object) -> Path:
    text = "".join(f"{each if isinstance(each, str) else json.dumps(each)}\n" for each in lines)
    raw = text.encode()
    path.write_bytes(gzip.compress(raw) if path.suffix == ".gz" else raw)
    return path


@pytest.mark.parametrize("name", ["a.jsonl", "a.jsonl.gz"])
def test_answers_are_read_and_questions_are_not(tmp_path: Path, name: str) -> None:
    plain = {"id": "p", "title": "Cold", "text": "A cold passes."}
    found = list(corpus.read(write(tmp_path / name, ANSWER, "", plain)))
    assert found[0] == corpus.Document(
        id="A_1",
        title="Asthma",
        body="Asthma makes you wheeze.",
        source="NIH",
        url="https://nih.gov/a",
        parts=(corpus.Part("symptoms", 0, 24, searched=False),),
    )
    assert (found[1].id, found[1].title, found[1].source) == ("p", "Cold", "")


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("{", "not JSON"),
        ("[]", "not an object"),
        (ANSWER, "repeats the id"),
        ({**ANSWER, "id": ""}, "'id'"),
        ({**ANSWER, "id": 7}, "'id'"),
        ({**ANSWER, "id": "B", "answer": " "}, "'text'"),
        ({**ANSWER, "id": "B", "answer": "x" * (corpus.MAX_BODY + 1)}, "more than"),
        ('"' + "x" * corpus.MAX_LINE, "longer than"),
    ],
)
def test_a_line_that_cannot_be_read_is_named(tmp_path: Path, line: object, reason: str) -> None:
    path = write(tmp_path / "a.jsonl", ANSWER, line)
    with pytest.raises(corpus.CorpusError, match=reason) as broken:
        list(corpus.read(path))
    assert (broken.value.name, broken.value.line) == ("a.jsonl", 2)


def test_a_broken_file_is_named(tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl.gz", ANSWER)
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(corpus.CorpusError, match="cannot be read"):
        list(corpus.read(path))


def test_the_digest_knows_every_change(tmp_path: Path) -> None:
    library = tmp_path / "library"
    library.mkdir()
    card, answers = library / "a.md", write(tmp_path / "a.jsonl", ANSWER)
    card.write_text("one", encoding="utf-8")
    seen = {corpus.digest([library]), corpus.digest([library, answers])}
    card.write_text("two", encoding="utf-8")
    seen.add(corpus.digest([library]))
    card.rename(library / "b.md")
    seen.add(corpus.digest([library]))
    assert len(seen) == 4
    assert corpus.digest([library]) in seen


def test_a_card_is_a_document_without_its_sources() -> None:
    text = (
        "---\ntitle: Cold\nkind: condition\nalso_called: [sniffles]\nreviewed: 2026-11\n---\n"
        "## What it is\nA cold is an infection.\n\n## Sources\n- NHS: Cold. https://www.nhs.uk/c/\n"
    )
    card = cards.parse(text, document_id="cold")
    document = corpus.from_card(card)
    assert (document.id, document.source, document.url) == ("cold", "NHS", "https://www.nhs.uk/c/")
    assert document.names == ("sniffles",)
    (part,) = document.parts
    assert (part.heading, part.searched) == ("What it is", True)
    assert document.body[part.start : part.end] == "A cold is an infection."
