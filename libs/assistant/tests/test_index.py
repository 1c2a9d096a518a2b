"""An index appears whole or not at all, names what it depends on, and is never mixed."""

import dataclasses
import json
import pickle
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from assistant.knowledge import building, cards, encoder, index, manifest
from assistant.knowledge.settings import Chunking, Indexing

CARD = """---
title: {title}
kind: condition
also_called: [{name}]
reviewed: 2026-11
---
## What it is
{title} is {fact}.

## Danger signs
Call emergency services if {title} makes you faint.

## Sources
- NHS: {title}. https://www.nhs.uk/
"""


class Letters:
    """Counts letters: a small encoder with vectors that a reader can work out."""

    name = "letters"
    dimension = 26
    max_tokens = 512
    fingerprint = "letters-1"

    def encode(self, texts: Sequence[str]) -> encoder.Vectors:
        rows = np.zeros((len(texts), 26), dtype=np.float32)
        for row, text in zip(rows, texts, strict=True):
            for letter in text.lower():
                if "a" <= letter <= "z":
                    row[ord(letter) - 97] += 1
        return encoder.normalise(rows)

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        return [len(text.split()) for text in texts]


@pytest.fixture
def library(tmp_path: Path) -> Path:
    folder = tmp_path / "library"
    folder.mkdir()
    add(folder, "Asthma", "wheezing", "a condition of the airways")
    add(folder, "Gout", "podagra", "a painful kind of arthritis")
    return folder


def add(folder: Path, title: str, name: str, fact: str) -> None:
    text = CARD.format(title=title, name=name, fact=fact)
    (folder / f"{title.lower()}.md").write_text(text, encoding="utf-8")


def folders(index_dir: Path) -> list[str]:
    return sorted(path.name for path in index_dir.iterdir())


def test_a_fresh_index_is_opened_and_a_stale_one_rebuilt(library: Path, tmp_path: Path) -> None:
    into, letters = tmp_path / "index", Letters()
    first = index.open_or_build(library, into, letters)
    assert set(first.cards) == {"asthma", "gout"}
    built = folders(into)
    index.open_or_build(library, into, letters)
    assert folders(into) == built
    add(library, "Croup", "barking cough", "a swelling of the throat")
    assert "croup" in index.open_or_build(library, into, letters).cards
    assert len(folders(into)) == 2
    assert first.search("gout", 1)[0].passage.title == "Gout"


@pytest.mark.parametrize(
    "change",
    [
        {"chunking": Chunking(words=60)},
        {"title_weight": 0.25},
        {"graph_above": 1},
    ],
)
def test_every_setting_makes_another_index(
    library: Path, tmp_path: Path, change: dict[str, object]
) -> None:
    how = dataclasses.replace(Indexing(), **change)  # type: ignore[arg-type]
    index.open_or_build(library, tmp_path / "index", Letters())
    index.open_or_build(library, tmp_path / "index", Letters(), indexing=how)
    assert len(folders(tmp_path / "index")) == 2


def test_the_manifest_names_what_the_index_depends_on(library: Path, tmp_path: Path) -> None:
    built = index.build(library, tmp_path / "index", Letters())
    folder = tmp_path / "index" / built.key
    assert manifest.read(folder) == built
    written = json.loads((folder / manifest.MANIFEST).read_text())
    assert (written["encoder"], written["weights"], written["dimension"]) == (
        "letters", "letters-1", 26,
    )  # fmt: skip
    assert written["indexing"]["chunking"] == {"words": 120, "tokens": 200, "method": "sentences-1"}
    assert (built.documents, built.passages) == (2, 4)


@pytest.mark.parametrize(
    ("field", "value"), [("name", "other"), ("fingerprint", "letters-2"), ("max_tokens", 128)]
)
def test_another_encoder_is_refused(
    library: Path, tmp_path: Path, field: str, value: object
) -> None:
    built = index.build(library, tmp_path / "index", Letters())
    other = Letters()
    setattr(other, field, value)
    with pytest.raises(manifest.IndexMismatch, match="build it anew"):
        index.open_index(tmp_path / "index" / built.key, other)


def test_a_damaged_index_is_refused_and_made_anew(library: Path, tmp_path: Path) -> None:
    into = tmp_path / "index"
    folder = into / index.build(library, into, Letters()).key
    whole = (folder / "vectors.faiss").read_bytes()
    (folder / "vectors.faiss").write_bytes(whole[:-1])
    with pytest.raises(manifest.IndexBroken, match="another size"):
        index.open_index(folder, Letters())
    assert index.open_or_build(library, into, Letters()).search("gout", 1)
    assert (folder / "vectors.faiss").read_bytes() == whole
    (folder / manifest.MANIFEST).write_text("{}", encoding="utf-8")
    assert index.open_or_build(library, into, Letters()).search("gout", 1)


def test_a_build_that_fails_leaves_nothing(library: Path, tmp_path: Path) -> None:
    (library / "broken.md").write_text("no front matter", encoding="utf-8")
    with pytest.raises(cards.CardError):
        index.open_or_build(library, tmp_path / "index", Letters())
    assert folders(tmp_path / "index") == []


def test_what_cannot_be_indexed_is_named(library: Path, tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(building.IndexingError, match="nothing to index"):
        index.build(empty, tmp_path / "index", Letters())
    answers = tmp_path / "answers.jsonl"
    line = {"id": "gout", "title": "Gout", "text": "Gout is painful."}
    answers.write_text(json.dumps(line), encoding="utf-8")
    with pytest.raises(building.IndexingError, match="one id"):
        index.build([library, answers], tmp_path / "index", Letters())


def test_old_indexes_and_killed_builds_are_removed(library: Path, tmp_path: Path) -> None:
    into = tmp_path / "index"
    for weight in (0.1, 0.2, 0.3, 0.4):
        index.build(library, into, Letters(), indexing=Indexing(title_weight=weight))
    (into / "mine").mkdir()
    assert len(folders(into)) == 3
    assert "mine" in folders(into)


def test_nothing_in_an_index_is_a_pickle(library: Path, tmp_path: Path) -> None:
    into = tmp_path / "index"
    index.build(library, into, Letters())
    for path in into.rglob("*.*"):
        with pytest.raises((pickle.UnpicklingError, EOFError, KeyError, ValueError, IndexError)):
            pickle.loads(path.read_bytes())  # noqa: S301 - proves that there is nothing to load


def test_two_processes_may_build_at_once(library: Path, tmp_path: Path) -> None:
    program = """
import sys
from pathlib import Path
from assistant.knowledge import index
found = index.open_or_build(Path(sys.argv[1]), Path(sys.argv[2]))
print(found.search("painful arthritis", 1)[0].passage.document_id, end="")
"""
    arguments = [sys.executable, "-c", program, str(library), str(tmp_path / "index")]
    racers = [subprocess.Popen(arguments, stdout=subprocess.PIPE) for _ in range(2)]
    assert [racer.communicate(timeout=60)[0] for racer in racers] == [b"gout", b"gout"]
    assert len(folders(tmp_path / "index")) == 1
