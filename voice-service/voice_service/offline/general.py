"""The general English model that comes with the recogniser, as pairs of words.

Run as a program with the path of an ARPA file to write. The recogniser's writer ends in a
segmentation fault after the pairs, so it runs in a process of its own, and the last line, which
may be cut, is dropped by the reader.
"""

import itertools
import math
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pocketsphinx

from voice_service.offline import model

_PROMISE = re.compile(r"ngram (\d)=(\d+)")


@dataclass(frozen=True)
class General:
    """Log10 chances of words and of pairs."""

    words: Mapping[str, tuple[float, float]]
    """P(w), and what is left after w."""
    pairs: Sequence[tuple[str, str, float]]

    def likeliest(self, count: int) -> list[str]:
        plain = (word for word in self.words if word.replace("'", "").isalpha())
        return sorted(plain, key=lambda word: -self.words[word][0])[:count]


class Truncated(RuntimeError):
    """The model's text ends too early."""


def read(folder: Path, least: float) -> General:
    """The model's words, and its pairs with P(v) P(w|v) above `least`. Uses `folder`.

    Raises `Truncated` when the writer ended before the pairs, three times.
    """
    path = folder / "general.arpa"
    program = [sys.executable, "-P", "-m", "voice_service.offline.general", str(path)]
    for _ in range(3):
        subprocess.run(program, check=False)  # noqa: S603 - it ends in a fault, see above
        try:
            if _whole(path) and _sound(found := _parsed(path, math.log10(least))):
                return found
        finally:
            path.unlink(missing_ok=True)
    raise Truncated("the general model could not be read")


def _whole(path: Path) -> bool:
    """Whether all words are there, and nearly all pairs."""
    counted, promised = [0, 0, 0], [0, 0, 0]
    with path.open(encoding="utf-8", errors="replace") as lines:
        for line in itertools.takewhile(lambda line: not line.startswith("\\1"), lines):
            if found := _PROMISE.match(line):
                promised[int(found.group(1)) - 1] = int(found.group(2))
    for order, _ in _lines(path):
        counted[order - 1] += 1
    return counted[0] == promised[0] > 0 and counted[1] > promised[1] * 0.99


def _sound(found: General) -> bool:
    """Whether the chances of all words sum to one."""
    total = sum(10**chance for word, (chance, _) in found.words.items() if word != "<s>")
    return abs(total - 1) < 0.01


def _parsed(path: Path, least: float) -> General:
    words: dict[str, tuple[float, float]] = {}
    pairs: list[tuple[str, str, float]] = []
    for order, fields in _lines(path):
        if order == 1 and len(fields) >= 2:
            left = float(fields[2]) if len(fields) > 2 else 0.0
            words[fields[1]] = (float(fields[0]), left)
        elif order == 2 and len(fields) == 4:
            first = 0.0 if fields[1] == "<s>" else words[fields[1]][0]
            if first + float(fields[0]) > least:
                pairs.append((fields[1], fields[2], float(fields[0])))
    return General(words, pairs)


def _lines(path: Path) -> Iterator[tuple[int, list[str]]]:
    order = 0
    with path.open(encoding="utf-8", errors="replace") as lines:
        before: list[str] | None = None
        for line in lines:
            if before is not None:
                yield order, before
            before = None
            if line.startswith("\\"):
                order = {"\\1-grams:\n": 1, "\\2-grams:\n": 2}.get(line, 0)
            elif order and line.strip():
                before = line.split()


def _write(path: str) -> None:
    config, log = pocketsphinx.Config(), pocketsphinx.LogMath()  # the model only borrows them
    read = pocketsphinx.NGramModel(config, log, str(model.bundled("en-us.lm.bin")))
    read.write(path, pocketsphinx.NGramModel.str_to_type("arpa"))


if __name__ == "__main__":
    _write(sys.argv[1])
