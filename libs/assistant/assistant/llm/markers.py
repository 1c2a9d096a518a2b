"""Keeps the markers of a model's answer honest.

A model cites `[4]` for the fourth passage that it was given. What leaves counts in order of first
use, and a marker that names no passage is dropped. Text streams through: at most one half-written
marker, or the space before one, is held back.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace

from assistant.turns import Citation, Text

_MARKER = re.compile(r"(?:\[\s*)+(\d+(?:\s*[,;–-]\s*\d+)*)\s*\]")
_MAY_BECOME = re.compile(r" ?(?:\[\s*)+[\d\s,;–-]{0,60}$| $")
_NUMBERS = re.compile(r"(\d+)(?:\s*[–-]\s*(\d+))?")
_BRACKETS = str.maketrans("【】", "[]")


class Markers:
    """One answer's markers; `passages` may grow while the answer streams."""

    def __init__(self, passages: Sequence[Citation]) -> None:
        self._passages = passages
        self._given: dict[int, int] = {}
        self._held = ""

    def feed(self, text: str) -> Iterator[Text | Citation]:
        """Yields what can be shown of the answer so far, each citation before its first marker."""
        self._held += text.translate(_BRACKETS)
        half = _MAY_BECOME.search(self._held)
        whole, self._held = (
            (self._held[: half.start()], self._held[half.start() :]) if half else (self._held, "")
        )
        yield from self._cite(whole)

    def end(self) -> Iterator[Text | Citation]:
        """Yields what was held back."""
        whole, self._held = self._held, ""
        yield from self._cite(whole)

    def _cite(self, whole: str) -> Iterator[Text | Citation]:
        end, shown = 0, ""
        for found in _MARKER.finditer(whole):
            shown += whole[end : found.start()]
            end = found.end()
            known = self._known(found[1])
            for number in known:
                if number not in self._given:
                    self._given[number] = len(self._given) + 1
                    yield replace(self._passages[number - 1], marker=self._given[number])
            shown += "".join(f"[{self._given[number]}]" for number in known)
            shown = shown if known else shown.removesuffix(" ")
        shown += whole[end:]
        if shown:
            yield Text(shown)

    def _known(self, inside: str) -> list[int]:
        """The passages that `3`, `1, 2` or `1-3` name; a number of many digits names none."""
        wanted: dict[int, None] = {}
        for first, last in _NUMBERS.findall(inside):
            if max(len(first), len(last)) <= 4:
                start, end = int(first), int(last or first)
                wanted |= dict.fromkeys(range(start, min(end, len(self._passages)) + 1))
        return [number for number in wanted if 1 <= number <= len(self._passages)]
