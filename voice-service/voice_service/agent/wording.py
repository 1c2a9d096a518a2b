"""Words made fit for the ear: no markers, no markup, sources named, figures spoken."""

import re
from collections.abc import Iterable, Sequence

from assistant.turns import Citation

_MARKER = re.compile(r"\s?\[\d+\](?:\[\d+\])*")
_OPEN_MARKER = re.compile(r"\s?\[[\d\]\[]{0,12}$")
_LINK = re.compile(r"\[([^\]\d][^\]]*)\]\([^)]*\)")
_ADDRESS = re.compile(r"https?://\S+")
_MARKUP = re.compile(r"[*_`#>|~]+")
_BULLET = re.compile(r"(?m)^\s*(?:[-•*]|\d+[.)])\s+")
_SENTENCE = re.compile(r"\S.*?[.!?…][\"'”’)]*(?=\s)|\S[^\n]*\n", re.DOTALL)
_SHORTENED = re.compile(r"\b(?:Dr|Mr|Mrs|Ms|St|e\.g|i\.e|etc|vs|approx|No)\.$")
_EMERGENCY = re.compile(r"\b(?:999|911|112|111|988|119)\b")
_UNITS: Sequence[tuple[re.Pattern[str], str]] = (
    (re.compile(r"(?<=\d)\s?°\s?C\b"), " degrees Celsius"),
    (re.compile(r"(?<=\d)\s?°\s?F\b"), " degrees Fahrenheit"),
    (re.compile(r"(?<=\d)\s?mg\b"), " milligrams"),
    (re.compile(r"(?<=\d)\s?(?:mcg|µg|μg)(?!\w)"), " micrograms"),
    (re.compile(r"(?<=\d)\s?ml\b"), " millilitres"),
    (re.compile(r"(?<=\d)\s?kg\b"), " kilograms"),
    (re.compile(r"(?<=\d)\s?cm\b"), " centimetres"),
    (re.compile(r"(?<=\d)\s?%"), " per cent"),
    (re.compile(r"(?<=\d)\s?[–-]\s?(?=\d)"), " to "),
    (re.compile(r"\s?&\s?"), " and "),
)
_LONGEST = 240
"""Characters of a sentence after which it is cut at the next space, lest speech waits for it."""


def spoken(text: str) -> str:
    """`text` as a voice should read it."""
    text = _LINK.sub(r"\1", _MARKER.sub("", text))
    text = _ADDRESS.sub("", text)
    text = _MARKUP.sub("", _BULLET.sub("", text))
    for pattern, words in _UNITS:
        text = pattern.sub(words, text)
    return _EMERGENCY.sub(lambda number: " ".join(number[0]), text)


def attribution(text: str, citations: Iterable[Citation]) -> str:
    """A closing sentence that names the sources of `text`, unless its words did so already."""
    sources = dict.fromkeys(citation.source for citation in citations if citation.source)
    if not sources or any(source.casefold() in text.casefold() for source in sources):
        return ""
    named = list(sources)[:2]
    return f" That is according to {' and '.join(named)}."


def sentences(text: str) -> list[str]:
    """The sentences of a text that is whole."""
    cut = Sentences()
    return [*cut.feed(text + " "), *cut.end()]


class Sentences:
    """Cuts a stream of text into sentences, each as soon as it is whole."""

    def __init__(self) -> None:
        self._held = ""

    def feed(self, text: str) -> list[str]:
        """The sentences that `text` completes."""
        self._held += text
        whole: list[str] = []
        start = 0
        for found in _SENTENCE.finditer(self._held):
            if _SHORTENED.search(found[0]):
                continue
            whole.append(self._held[start : found.end()].strip())
            start = found.end()
        self._held = self._held[start:]
        if len(self._held) > _LONGEST and (space := self._held.rfind(" ")) > 0:
            whole.append(self._held[:space].strip())
            self._held = self._held[space:]
        return [sentence for sentence in whole if sentence]

    def end(self) -> list[str]:
        """What is left."""
        rest, self._held = self._held.strip(), ""
        return [rest] if rest else []


class Plain:
    """A stream of text without markers, though a marker may come in two halves."""

    def __init__(self) -> None:
        self._held = ""

    def feed(self, text: str) -> str:
        """What can be said of the text so far."""
        self._held += text
        half = _OPEN_MARKER.search(self._held)
        whole, self._held = (
            (self._held[: half.start()], self._held[half.start() :]) if half else (self._held, "")
        )
        return _MARKER.sub("", whole)

    def end(self) -> str:
        """What was held back."""
        rest, self._held = self._held, ""
        return _MARKER.sub("", rest)
