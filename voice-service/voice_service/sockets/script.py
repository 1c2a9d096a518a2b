"""The words of one spoken reply, and how many of them were heard at a position."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

from livekit.agents import tokenize
from livekit.agents.types import TimedString

CHARACTERS_A_SECOND = 15.0
"""How fast speech is taken to be until its length is known."""

_WORD = re.compile(r"\S+\s*")
_ENDED = re.compile(r"[.!?…][\"'”’)\]]*\s+\Z")
_sentences = tokenize.blingfire.SentenceTokenizer(min_sentence_len=1)


@dataclass(frozen=True, slots=True)
class _Piece:
    """Some of the words, and when they begin and end in seconds, where that is known."""

    text: str
    begins: float | None
    ends: float | None


class Script:
    """The words of one reply, filled while it is spoken."""

    def __init__(self) -> None:
        self._pieces: list[_Piece] = []
        self._said = 0
        self._length: float | None = None
        self._timed = 0.0
        self._shown = 0.0
        self.closed = False
        self.finished = False

    @property
    def text(self) -> str:
        """All words so far."""
        return "".join(piece.text for piece in self._pieces)

    @property
    def shown(self) -> bool:
        """Whether a sentence of it was due."""
        return self._said > 0

    def add(self, text: str) -> None:
        """More words; a `TimedString` brings its seconds within the reply."""
        begins = ends = None
        if isinstance(text, TimedString):
            begins = text.start_time if isinstance(text.start_time, float | int) else None
            ends = text.end_time if isinstance(text.end_time, float | int) else None
        self._pieces.append(_Piece(str(text), begins, ends))

    def close(self) -> None:
        """No words come any more."""
        self.closed = True

    def last(self, seconds: float) -> None:
        """The reply is so long as speech."""
        self._length = seconds

    def finish(self, position: float, *, interrupted: bool) -> str:
        """The words that were heard; all, unless it was cut at `position`."""
        self.finished = True
        return self.heard(position) if interrupted else self.text

    def heard(self, position: float) -> str:
        """The words that had begun at `position`, in seconds."""
        if position <= 0:
            return ""
        begun: list[str] = []
        for word, begins in self._words():
            if begins >= position:
                break
            begun.append(word)
        return "".join(begun)

    def due(self, position: float | None) -> list[str]:
        """Sentences, each once: the first as soon as it is whole, others when they begin.

        `position` is how much was given to the player in seconds; None where it is as before.
        """
        if position is not None:
            self._shown = max(self._shown, position)
        found: list[str] = []
        for start, sentence in self._whole_sentences():
            if self._said and self._begins_at(start) >= self._shown:
                break
            self._said = start + len(sentence)
            if sentence.strip():
                found.append(sentence.strip())
        return found

    def _whole_sentences(self) -> list[tuple[int, str]]:
        """Those not said yet that will not grow any more, each with its place in the text."""
        text = self.text
        parts = _split(text[self._said :])
        if parts and not self.closed and not _ENDED.search(text):
            parts.pop()
        placed, place = [], self._said
        for part in parts:
            placed.append((place, part))
            place += len(part)
        return placed

    def _begins_at(self, place: int) -> float:
        reached = 0
        for word, begins in self._words():
            reached += len(word)
            if reached > place:
                return begins
        return float("inf")

    def _words(self) -> Iterator[tuple[str, float]]:
        """Each word with the second at which it begins, known or reckoned by its length."""
        for text, begins, ends in self._spans():
            share = (ends - begins) / max(len(text), 1)
            done = 0
            for word in _WORD.findall(text) or [text]:
                yield word, begins + done * share
                done += len(word)

    def _spans(self) -> Iterator[tuple[str, float, float]]:
        """Runs of words between two known moments."""
        runs: list[tuple[str, float]] = []
        for piece in self._pieces:
            if piece.begins is not None or not runs:
                runs.append((piece.text, piece.begins or 0.0))
            else:
                text, begins = runs[-1]
                runs[-1] = (text + piece.text, begins)
        if not runs:
            return
        for (text, begins), (_, following) in pairwise(runs):
            yield text, begins, max(following, begins)
        text, begins = runs[-1]
        yield text, begins, max(self._end(text, begins), begins)

    def _end(self, text: str, begins: float) -> float:
        ends = self._pieces[-1].ends
        if ends is not None and ends > begins:
            return ends
        if self._length is not None and self.closed:
            return self._length
        return begins + len(text) / CHARACTERS_A_SECOND


def _split(text: str) -> list[str]:
    """Sentences with the white space after them; joined they are `text`."""
    parts: list[str] = []
    place = 0
    for sentence in _sentences.tokenize(text):
        found = text.find(sentence, place)
        if found < 0:
            continue
        end = found + len(sentence)
        while end < len(text) and text[end].isspace():
            end += 1
        parts.append(text[place:end])
        place = end
    if place < len(text):
        parts.append(text[place:])
    return parts
