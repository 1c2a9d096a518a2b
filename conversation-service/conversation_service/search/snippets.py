"""Snippets: the words that a search found, marked in the text as it was written.

PostgreSQL marks words in the folded text that search compares (no case, no accents). Here the
marks are carried back to the original, character by character, and a window is cut around them.
"""

import html
import re
import unicodedata
from bisect import bisect_left
from functools import cache

START, STOP = "\ue000", "\ue001"
"""What PostgreSQL puts around a word that was found: characters that no text of ours needs."""

WORDS = 24
"""Words of a snippet."""

_LETTERS = {"ß": "ss", "æ": "ae", "œ": "oe", "þ": "th"}
_SIMPLE = str.maketrans("ØøŁłĐđĦħŦŧı<>&", "OoLlDdHhTti   ")
_MARKS = re.compile("[\u0300-\u036f]")
_WORD = re.compile(r"\S+")


def fold(text: str) -> str:
    """The same folding as the database's `medbot.folded`."""
    plain = _MARKS.sub("", unicodedata.normalize("NFKD", text)).translate(_SIMPLE).lower()
    return "".join(_LETTERS.get(letter, letter) for letter in plain)


@cache
def _fold_letter(letter: str) -> str:
    return fold(letter)


def cut(text: str, marked: str) -> str:
    """A stretch of `text` as HTML with the found words in `<mark>`; all else is escaped.

    `marked` is the folded text with `START` and `STOP` around each found word.
    """
    found = _places(text, marked)
    if found is None:  # a letter that the two foldings see differently: show the folded text
        text = marked.replace(START, "").replace(STOP, "")
        found = _spans(marked)
    words = [match.span() for match in _WORD.finditer(text)]
    if not words:
        return ""
    first, last = _window(words, found)
    start, end = words[first][0], words[last][1]
    shown = _mark(text, [span for span in found if span[0] < end and span[1] > start], start, end)
    return ("… " if first else "") + shown + (" …" if last + 1 < len(words) else "")


def _spans(marked: str) -> list[tuple[int, int]]:
    """The marked stretches, as places in the text without the marks."""
    spans, place, begun = [], 0, 0
    for letter in marked:
        if letter == START:
            begun = place
        elif letter == STOP:
            spans.append((begun, place))
        else:
            place += 1
    return spans


def _places(text: str, marked: str) -> list[tuple[int, int]] | None:
    """The marked stretches as places in `text`; None when the two do not fit together."""
    plain = marked.replace(START, "").replace(STOP, "")
    if text.isascii():  # each letter is folded to one
        return _spans(marked) if len(text) == len(plain) else None
    origin: list[int] = []
    folded: list[str] = []
    for place, letter in enumerate(text):
        piece = _fold_letter(letter)
        folded.append(piece)
        origin.extend([place] * len(piece))
    if "".join(folded) != plain:
        return None
    origin.append(len(text))
    return [(origin[a], origin[b - 1] + 1) for a, b in _spans(marked) if b > a]


def _window(words: list[tuple[int, int]], found: list[tuple[int, int]]) -> tuple[int, int]:
    """The first and the last word of the stretch of `WORDS` words that holds the most marks."""
    if len(words) <= WORDS or not found:
        return 0, min(len(words), WORDS) - 1
    ends = [end for _, end in words]
    hits = sorted({min(bisect_left(ends, start + 1), len(words) - 1) for start, _ in found})
    most = [bisect_left(hits, hit + WORDS // 2) - place for place, hit in enumerate(hits)]
    best = hits[most.index(max(most))]
    first = max(0, min(best - WORDS // 4, len(words) - WORDS))
    return first, first + WORDS - 1


def _mark(text: str, spans: list[tuple[int, int]], start: int, end: int) -> str:
    out, place = [], start
    for a, b in spans:
        out += [
            html.escape(text[place:a]),
            "<mark>",
            html.escape(text[max(a, place) : b]),
            "</mark>",
        ]
        place = b
    out.append(html.escape(text[place:end]))
    return " ".join("".join(out).split())
