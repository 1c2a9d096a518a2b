"""Where sentences begin and end in plain prose and lists, so that every part cuts alike."""

import itertools
import re
from dataclasses import dataclass

_ITEM = re.compile(r"[ \t]*(?:[-*•]|\d{1,2}[.)])[ \t]+")
_BREAK = re.compile(r"\n[ \t]*\n|\n(?=[ \t]*(?:[-*•]|\d{1,2}[.)])[ \t])")
_STOP = re.compile(r"[.!?…]+[\"'”’)\]]*(?=\s+[\"'“‘(\[]?[A-Z0-9À-Þ])")
_ABBREVIATION = re.compile(
    # A lone capital is an initial ("J. Smith"), but not after a degree sign or a plain word.
    r"(?:\b(?:e\.g|i\.e|etc|vs|Dr|Mr|Mrs|Ms|Prof|St|No|Fig|approx|cf|al|[a-z]\.[a-z])"
    r"|(?<!°)(?<![a-z]{4} )\b[A-Z])\.$"
)
_WORD = re.compile(r"\S*\w\S*")


@dataclass(frozen=True, slots=True)
class Sentence:
    """One sentence: `text == whole[start:end]`, offsets in code points, no list marker in it.

    `item` is its list marker ("-", "1.") when it opens a list item, "" when it only belongs to
    one, and None in running prose.
    """

    text: str
    start: int
    end: int
    item: str | None


def words(text: str) -> int:
    """How many words `text` has, counting whatever has a letter or a digit in it."""
    return len(_WORD.findall(text))


def blocks(text: str) -> list[tuple[int, int]]:
    """The (start, end) of each paragraph or list item, without the white space around it."""
    edges = [0, *(found.end() for found in _BREAK.finditer(text)), len(text)]
    spans = (_trimmed(text, a, b) for a, b in itertools.pairwise(edges))
    return [(start, end) for start, end in spans if start < end]


def sentences(text: str) -> list[Sentence]:
    """Every sentence of `text` in order; a line break within a paragraph ends nothing."""
    found: list[Sentence] = []
    for start, end in blocks(text):
        marker = _ITEM.match(text, start, end)
        item = marker.group().strip() if marker else None
        at = marker.end() if marker else start
        for stop in _stops(text, at, end):
            a, b = _trimmed(text, at, stop)
            if a < b:
                found.append(Sentence(text[a:b], a, b, item))
                item = item and ""
            at = stop
    return found


def _stops(text: str, start: int, end: int) -> list[int]:
    stops = [
        found.end()
        for found in _STOP.finditer(text, start, end)
        if not _ABBREVIATION.search(text[max(start, found.end() - 8) : found.end()])
    ]
    return [*stops, end]


def _trimmed(text: str, start: int, end: int) -> tuple[int, int]:
    while start < end and text[start].isspace():
        start += 1
    while end > start and text[end - 1].isspace():
        end -= 1
    return start, end
