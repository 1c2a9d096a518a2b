"""The general English model that comes with the recogniser, as pairs of words.

Run as a program with the path of an ARPA file to write. The recogniser's writer ends in a
segmentation fault after the pairs, so it runs in a process of its own, and the last line, which
may be cut, is dropped by the reader.
"""

import math
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pocketsphinx

from voice_service.offline import model


@dataclass(frozen=True)
class General:
    """Log10 chances of words and of pairs."""

    words: Mapping[str, tuple[float, float]]
    """P(w), and what is left after w."""
    pairs: Sequence[tuple[str, str, float]]

    def likeliest(self, count: int) -> list[str]:
        plain = (word for word in self.words if word.replace("'", "").isalpha())
        return sorted(plain, key=lambda word: -self.words[word][0])[:count]


def read(folder: Path, least: float) -> General:
    """The model's words, and its pairs with P(v) P(w|v) above `least`. Uses `folder`."""
    path = folder / "general.arpa"
    program = [sys.executable, "-P", "-m", "voice_service.offline.general", str(path)]
    subprocess.run(program, check=False)  # noqa: S603 - it ends in a fault, see above
    try:
        return _parsed(path, math.log10(least))
    finally:
        path.unlink(missing_ok=True)


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
            elif order:
                before = line.split()


def _write(path: str) -> None:
    read = pocketsphinx.NGramModel(
        pocketsphinx.Config(), pocketsphinx.LogMath(), str(model.bundled("en-us.lm.bin"))
    )
    read.write(path, pocketsphinx.NGramModel.str_to_type("arpa"))


if __name__ == "__main__":
    _write(sys.argv[1])
