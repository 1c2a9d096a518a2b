"""Documents to index: the library's cards, and larger collections in JSON lines."""

import gzip
import hashlib
import io
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from assistant.knowledge import cards, encoder
from assistant.knowledge.cards import Card

MAX_LINE = 1_000_000  # bytes
MAX_BODY = encoder.MAX_CHARACTERS
MAX_DOCUMENTS = 2_000_000
_NAMES = {
    "title": ("title", "focus"),
    "text": ("text", "answer", "body"),
    "heading": ("heading", "question_type"),
}


class CorpusError(ValueError):
    """A collection cannot be read; `line` counts from 1 in its file, 0 for the file as a whole."""

    def __init__(self, name: str, line: int, reason: str) -> None:
        super().__init__(f"{name}:{line}: {reason}")
        self.name = name
        self.line = line
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Part:
    """A stretch of a document under one heading: `body[start:end]`, in code points.

    A heading counts for the search only when the document's authors wrote it for readers, as in
    cards; a collection's label of what was asked would give the question away.
    """

    heading: str
    start: int
    end: int
    searched: bool


@dataclass(frozen=True, slots=True)
class Document:
    """What can be looked up by its id; `names` are other names of its title, for the search."""

    id: str
    title: str
    body: str
    source: str
    url: str
    parts: tuple[Part, ...]
    names: tuple[str, ...] = ()


def from_card(card: Card) -> Document:
    """A card as a document: a part a section, its sources apart."""
    first = card.sources[0] if card.sources else None
    parts = tuple(
        Part(each.heading, each.offset, each.offset + len(each.text), searched=True)
        for each in card.sections
        if each.heading != "Sources" and each.text
    )
    return Document(
        id=card.id,
        title=card.title,
        body=card.body,
        source=first.name if first else "",
        url=first.url if first else "",
        parts=parts,
        names=card.also_called,
    )


def read(path: Path) -> Iterator[Document]:
    """The documents of a `.jsonl` or `.jsonl.gz` file, in its order.

    A line is an object with `id` and `text` (or `answer`), and may have `title` (or `focus`),
    `heading` (or `question_type`), `source` and `url`; other fields, such as a `question`, are
    not indexed.

    Raises:
        CorpusError: a line is too long, not such an object, or repeats an id.
    """
    seen: set[str] = set()
    for line, raw in _lines(path):
        document = _document(raw, path.name, line)
        if document.id in seen:
            raise CorpusError(path.name, line, "repeats the id of an earlier line")
        if len(seen) >= MAX_DOCUMENTS:
            raise CorpusError(path.name, line, f"more than {MAX_DOCUMENTS} documents")
        seen.add(document.id)
        yield document


def digest(sources: Iterable[Path]) -> str:
    """A hash of every file in `sources`: folders of cards and collections."""
    total = hashlib.sha256()
    for source in sources:
        folder = source.is_dir()
        for path in cards.paths(source) if folder else [source]:
            with path.open("rb") as file:
                total.update(path.name.encode() + b"\0" if folder else b"\0")
                total.update(hashlib.file_digest(file, "sha256").digest())
    return total.hexdigest()


def _lines(path: Path) -> Iterator[tuple[int, bytes]]:
    try:
        with path.open("rb") as raw:
            packed = path.suffix == ".gz"
            file = io.BufferedReader(gzip.GzipFile(fileobj=raw)) if packed else raw
            line = 0
            while text := file.readline(MAX_LINE + 1):
                line += 1
                if len(text) > MAX_LINE:
                    raise CorpusError(path.name, line, f"longer than {MAX_LINE} bytes")
                if text.strip():
                    yield line, text
    except (OSError, EOFError) as broken:
        raise CorpusError(path.name, 0, f"cannot be read ({type(broken).__name__})") from broken


def _document(raw: bytes, name: str, line: int) -> Document:
    try:
        fields = json.loads(raw)
    except ValueError as broken:
        raise CorpusError(name, line, "not JSON") from broken
    if not isinstance(fields, dict):
        raise CorpusError(name, line, "not an object")
    body = _text(fields, "text", name, line)
    if len(body) > MAX_BODY:
        raise CorpusError(name, line, f"a text of more than {MAX_BODY} characters")
    heading = _text(fields, "heading", name, line, needed=False)
    return Document(
        id=_text(fields, "id", name, line),
        title=_text(fields, "title", name, line, needed=False),
        body=body,
        source=_text(fields, "source", name, line, needed=False),
        url=_text(fields, "url", name, line, needed=False),
        parts=(Part(heading, 0, len(body), searched=False),),
    )


def _text(
    fields: Mapping[str, Any], name: str, file: str, line: int, *, needed: bool = True
) -> str:
    found = next((fields[key] for key in _NAMES.get(name, (name,)) if fields.get(key)), "")
    if not isinstance(found, str) or (needed and not found.strip()):
        raise CorpusError(file, line, f"needs a text for {name!r}")
    return found
