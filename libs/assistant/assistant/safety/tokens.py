"""Cuts a message into tokens that remember where they stood in the original text."""

import re
import unicodedata
from collections.abc import Sequence
from enum import IntEnum
from typing import NamedTuple

# Every branch starts with a character no other branch starts with, or is bounded, so matching
# is linear in the length of the text.
_TOKEN = re.compile(
    r"[a-z](?:/[a-z](?![a-z])|[a-z]*(?:'[a-z]+)*(?:\d(?![\d.]))?)"
    r"|\d+(?:[.,]\d+)*"
    r"|[.!?;\n]"
    r"|[,:()\u2013\u2014]|(?<=\s)-(?=\s)"
    r"|[°%/+><~]"
)
_APOSTROPHES = "\u2018\u2019\u02bc\u0060\u00b4"
_INVISIBLE = {"\u200b", "\u200c", "\u200d", "\ufeff", "\u00ad"}


class Kind(IntEnum):
    """What a token is."""

    WORD = 0
    NUMBER = 1
    STOP = 2
    COMMA = 3
    SIGN = 4


_WORD = Kind.WORD
_KINDS = {
    **dict.fromkeys("0123456789", Kind.NUMBER),
    **dict.fromkeys(".!?;\n", Kind.STOP),
    **dict.fromkeys(",:()\u2013\u2014-", Kind.COMMA),
    **dict.fromkeys("°%/+><~", Kind.SIGN),
}


class Token(NamedTuple):
    """A piece of text: lower case, without accents or apostrophes; offsets in code points."""

    word: str
    start: int
    end: int
    kind: Kind


def cut(text: str) -> Sequence[Token]:
    """Returns the tokens of `text` in order. Characters of no token are skipped."""
    folded = text.lower() if text.isascii() else "".join(map(_fold, text))
    found: list[Token] = []
    for match in _TOKEN.finditer(folded):
        piece = match[0]
        start, end = match.span()
        kind = _KINDS.get(piece[0], _WORD)
        found.append(Token(piece.replace("'", "") if "'" in piece else piece, start, end, kind))
    return found


def _fold(character: str) -> str:
    """One character in, one out, so that offsets stay those of the original."""
    if character in _APOSTROPHES:
        return "'"
    if character == "\u2026":
        return "."
    if character in _INVISIBLE:
        return "'"
    plain = unicodedata.normalize("NFKD", character.lower())[:1]
    return plain or " "
