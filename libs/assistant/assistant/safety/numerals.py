"""Finds the numbers of a message, in digits or in words."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from assistant.safety.tokens import Kind, Token

_UNITS: Mapping[str, int] = {
    word: value
    for value, word in enumerate(
        [
            "zero",
            "one",
            "two",
            "three",
            "four",
            "five",
            "six",
            "seven",
            "eight",
            "nine",
            "ten",
            "eleven",
            "twelve",
            "thirteen",
            "fourteen",
            "fifteen",
            "sixteen",
            "seventeen",
            "eighteen",
            "nineteen",
        ]
    )
}
_TENS: Mapping[str, int] = {
    word: 20 + 10 * place
    for place, word in enumerate(
        ["twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"]
    )
}
_ARTICLES = {"a", "an"}
_LOOSE: Mapping[str, float] = {"couple": 2, "dozen": 12, "dozens": 24, "fourty": 40}

_NUMBER = Kind.NUMBER
_FIRST = _UNITS.keys() | _TENS.keys() | _LOOSE.keys() | _ARTICLES | {"hundred"}
WORDS = frozenset(_FIRST | {"point"})


class Number(NamedTuple):
    """A number and the tokens it takes, `first` to `last` inclusive."""

    value: float
    first: int
    last: int


def find(tokens: Sequence[Token]) -> list[Number]:
    """Returns the numbers of `tokens` in order; "thirty nine point five" is one number."""
    found: list[Number] = []
    at = 0
    while at < len(tokens):
        token = tokens[at]
        if token.word not in _FIRST and token.kind is not _NUMBER:
            at += 1
            continue
        number = _digits(tokens, at) or _spelled(tokens, at)
        if number is None:
            at += 1
        else:
            found.append(number)
            at = number.last + 1
    return found


def _digits(tokens: Sequence[Token], at: int) -> Number | None:
    token = tokens[at]
    if token.kind is not Kind.NUMBER or len(token.word) > 9:
        return None
    grouped = len(token.word.rpartition(",")[2].partition(".")[0]) == 3
    try:
        return Number(float(token.word.replace(",", "" if grouped else ".")), at, at)
    except ValueError:
        return None


def _word(tokens: Sequence[Token], at: int) -> str:
    return tokens[at].word if at < len(tokens) and tokens[at].kind is Kind.WORD else ""


def _spelled(tokens: Sequence[Token], at: int) -> Number | None:
    word = _word(tokens, at)
    if word not in _FIRST:
        return None
    if word in _LOOSE:
        return Number(_LOOSE[word], at, at)
    value, end = _below_hundred(tokens, at)
    if _word(tokens, end) == "hundred" and (end > at or word == "hundred" or word in _ARTICLES):
        return _with_point(tokens, *_hundreds(tokens, value or 1, end + 1), first=at)
    if word in _ARTICLES and _word(tokens, at + 1) == "hundred":
        return _with_point(tokens, *_hundreds(tokens, 1, at + 2), first=at)
    if end == at:
        return None
    if value == 1 and _word(tokens, end) == "oh" and _word(tokens, end + 1) in _UNITS:
        return _with_point(tokens, 100 + _UNITS[_word(tokens, end + 1)], end + 2, first=at)
    return _with_point(tokens, value, end, first=at)


def _hundreds(tokens: Sequence[Token], hundreds: int, at: int) -> tuple[int, int]:
    skipped = at + 1 if _word(tokens, at) == "and" else at
    rest, end = _below_hundred(tokens, skipped)
    return (100 * hundreds + rest, end) if end > skipped else (100 * hundreds, at)


def _below_hundred(tokens: Sequence[Token], at: int) -> tuple[int, int]:
    word = _word(tokens, at)
    if word in _UNITS:
        return _UNITS[word], at + 1
    if word not in _TENS:
        return 0, at
    unit = _UNITS.get(_word(tokens, at + 1), 0)
    return (_TENS[word] + unit, at + 2) if 0 < unit < 10 else (_TENS[word], at + 1)


def _with_point(tokens: Sequence[Token], value: int, end: int, *, first: int) -> Number:
    if _word(tokens, end) == "point" and _word(tokens, end + 1) in _UNITS:
        return Number(value + _UNITS[_word(tokens, end + 1)] / 10, first, end + 1)
    return Number(float(value), first, end - 1)
