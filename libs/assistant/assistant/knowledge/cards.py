"""Library cards: one Markdown file a topic, with front matter, fixed headings and named sources."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

MAX_CHARACTERS = 20_000
HEADINGS = (
    "What it is",
    "Causes",
    "Signs",
    "Side effects",
    "How long it lasts",
    "What to do",
    "How to take it",
    "What not to do",
    "Treatment",
    "Who should not take it",
    "Children",
    "Pregnancy",
    "Common questions",
    "Compared with",
    "When to see someone",
    "Danger signs",
    "Sources",
)
KINDS = ("condition", "symptom", "injury", "medicine", "treatment", "wellbeing")
_KEYS = frozenset({"title", "kind", "also_called", "not_this", "reviewed"})
_FRONT = re.compile(r"\A---[ \t]*\n(.*?\n)---[ \t]*\n", re.DOTALL)
_HEADING = re.compile(r"^## +(.+?)[ \t]*$", re.MULTILINE)
_SOURCE = re.compile(r"^[-*] +(?P<name>[^:\n]+): +(?P<title>.+?)\.? +(?P<url>\S+)[ \t]*$")


class CardError(ValueError):
    """A card cannot be read; `line` counts from 1 in its file."""

    def __init__(self, line: int, reason: str, document_id: str = "") -> None:
        super().__init__(f"{document_id or 'card'}:{line}: {reason}")
        self.line = line
        self.reason = reason
        self.document_id = document_id


@dataclass(frozen=True, slots=True)
class Source:
    """Where the facts of a card come from."""

    name: str
    title: str
    url: str


@dataclass(frozen=True, slots=True)
class Section:
    """One heading and what stands under it: `card.body[offset:offset + len(text)] == text`."""

    heading: str
    text: str
    offset: int


@dataclass(frozen=True, slots=True)
class Card:
    """One topic of the library; `body` is the file after its front matter, from `body_line` on."""

    id: str
    title: str
    kind: str
    also_called: tuple[str, ...]
    not_this: tuple[str, ...]
    reviewed: str
    sections: tuple[Section, ...]
    sources: tuple[Source, ...]
    body: str
    body_line: int = 1

    def section(self, heading: str) -> Section | None:
        """The section under `heading`, or None when the card has none."""
        return next((found for found in self.sections if found.heading == heading), None)

    def line(self, offset: int) -> int:
        """The line of the file on which `offset` of the body stands."""
        return self.body_line + self.body.count("\n", 0, offset)


def parse(text: str, *, document_id: str) -> Card:
    """Read one card.

    Raises:
        CardError: front matter or a heading or a source cannot be understood.
    """
    if len(text) > MAX_CHARACTERS:
        raise CardError(1, f"longer than {MAX_CHARACTERS} characters", document_id)
    text = text.removeprefix("\ufeff").replace("\r\n", "\n")
    front = _FRONT.match(text)
    if front is None:
        raise CardError(1, "no front matter between two lines of ---", document_id)
    fields = _fields(front.group(1), document_id)
    body, body_line = text[front.end() :], text.count("\n", 0, front.end()) + 1
    sections = _sections(body, body_line, document_id)
    return Card(
        id=document_id,
        title=_string(fields, "title", document_id),
        kind=_string(fields, "kind", document_id),
        also_called=_strings(fields, "also_called", document_id),
        not_this=_strings(fields, "not_this", document_id),
        reviewed=_string(fields, "reviewed", document_id),
        sections=sections,
        sources=_sources(sections, body, body_line, document_id),
        body=body,
        body_line=body_line,
    )


def from_fields(fields: dict[str, Any]) -> Card:
    """The card that `dataclasses.asdict` and JSON made these fields of."""
    fields["sections"] = tuple(Section(**each) for each in fields["sections"])
    fields["sources"] = tuple(Source(**each) for each in fields["sources"])
    fields["also_called"] = tuple(fields["also_called"])
    fields["not_this"] = tuple(fields["not_this"])
    return Card(**fields)


def paths(folder: Path) -> list[Path]:
    """The file of each card in `folder`, by id; `README.md` is not a card."""
    return sorted(path for path in folder.glob("*.md") if path.name != "README.md")


def load(folder: Path) -> list[Card]:
    """Every card of `folder`, sorted by id.

    Raises:
        CardError: one of them cannot be read.
    """
    return [read(path) for path in paths(folder)]


def read(path: Path) -> Card:
    """The card in one file, its id the file's stem."""
    try:
        return parse(path.read_text(encoding="utf-8"), document_id=path.stem)
    except UnicodeDecodeError as broken:
        raise CardError(1, "not UTF-8", path.stem) from broken


def _fields(front: str, document_id: str) -> Mapping[str, object]:
    import yaml  # a tenth of the time to start, and an index that is fresh needs none of it

    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    try:
        fields = yaml.load(front, Loader=loader)  # noqa: S506 - both loaders are safe ones
    except yaml.YAMLError as broken:
        mark = getattr(broken, "problem_mark", None)
        line = mark.line + 2 if mark else 1
        raise CardError(line, "front matter is not YAML", document_id) from broken
    if not isinstance(fields, dict):
        raise CardError(1, "front matter is not a mapping", document_id)
    for key in fields:
        if key not in _KEYS:
            raise CardError(1, f"front matter has an unknown key {key!r}", document_id)
    return fields


def _string(fields: Mapping[str, object], key: str, document_id: str) -> str:
    value = fields.get(key)
    if value is None or isinstance(value, list | dict) or not str(value).strip():
        raise CardError(1, f"front matter needs one value for {key!r}", document_id)
    return str(value).strip()


def _strings(fields: Mapping[str, object], key: str, document_id: str) -> tuple[str, ...]:
    value = fields.get(key) or []
    if not isinstance(value, list) or any(isinstance(each, list | dict) for each in value):
        raise CardError(1, f"front matter needs a list for {key!r}", document_id)
    return tuple(str(each).strip() for each in value)


def _sections(body: str, body_line: int, document_id: str) -> tuple[Section, ...]:
    found = list(_HEADING.finditer(body))
    if body[: found[0].start() if found else len(body)].strip():
        raise CardError(body_line, "text before the first heading", document_id)
    ends = [*(each.start() for each in found[1:]), len(body)]
    return tuple(
        _section(body, each.group(1), each.end(), end)
        for each, end in zip(found, ends, strict=True)
    )


def _section(body: str, heading: str, start: int, end: int) -> Section:
    raw = body[start:end]
    return Section(heading, raw.strip(), start + len(raw) - len(raw.lstrip()))


def _sources(
    sections: tuple[Section, ...], body: str, body_line: int, document_id: str
) -> tuple[Source, ...]:
    sources = []
    for section in sections:
        if section.heading != "Sources":
            continue
        first = body_line + body.count("\n", 0, section.offset)
        for number, line in enumerate(section.text.split("\n")):
            if not line.strip():
                continue
            found = _SOURCE.match(line.strip())
            if found is None:
                reason = "a source reads '- Name: Title. https://…'"
                raise CardError(first + number, reason, document_id)
            sources.append(Source(found["name"].strip(), found["title"].strip(), found["url"]))
    return tuple(sources)
