"""What the recogniser heard, as the rest of the product reads it."""

import math
import re
from dataclasses import dataclass

RATE_HZ = 16_000
SURE = 0.5
"""Below this confidence the caller is asked again."""

_SLOWEST = 2.0
"""Seconds a word, with the silence around it."""
_LETTERS = re.compile(r"^[a-z]\.$")
_FIRST = re.compile(r"^i(?=$|')")
_ACRONYMS = frozenset(("MRI", "CT", "ECG", "EKG", "COPD", "HIV", "HPV", "IBS", "UTI", "ADHD",
    "PTSD", "OCD",
    "CPR", "HRT", "CBD", "BMI", "STD", "STI", "IUD", "RSV", "MMR", "AM", "PM", "PCOS", "PMS",
    "ALS"))  # fmt: skip
_PROPER = frozenset(("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday",
    "january", "february", "march", "april", "june", "july", "august", "september", "october",
    "november", "december", "english"))  # fmt: skip


@dataclass(frozen=True)
class Hearing:
    """One utterance: `words` as recognised, `text` as written, and how sure it is, from 0 to 1.

    `keyphrases` are alarming phrases that the ear for danger believes it heard, whatever the text
    says.
    """

    words: str
    text: str
    confidence: float
    keyphrases: tuple[str, ...] = ()

    @property
    def sure(self) -> bool:
        """Whether the words may be acted on without asking again."""
        return bool(self.words) and self.confidence >= SURE


@dataclass(frozen=True)
class Clarity:
    """How clearly the words were heard: the mean logarithm of their chances, the language model's
    score of the word that it expected least, how far two readings of the same sound are from
    each other, in edits a word, and the seconds of sound for each word."""

    mean: float = 0.0
    least: float = 0.0
    distance: float = 0.0
    pace: float = 0.0


def confidence(clear: Clarity) -> float:
    """From 0 to 1. Fitted to clean and noisy speech, so that one in ten of right hearings of
    clean speech is below `SURE`; a word where there was time for many is noise."""
    score = 4.6 + 1.68 * clear.mean + 0.0059 * clear.least - 2.19 * clear.distance
    score -= 3 * max(0.0, clear.pace - _SLOWEST)
    return 1 / (1 + math.exp(-max(-30.0, score)))


def written(words: str) -> str:
    """The words as people write them: "I'm", "Tuesday", "MRI"; nothing else is changed, so that
    numbers stay words."""
    out: list[str] = []
    run: list[str] = []
    for word in words.split():
        if _LETTERS.match(word):
            run.append(word[0].upper())
            continue
        out += _letters(run)
        run = []
        word = _FIRST.sub("I", word)
        out.append(word.capitalize() if word in _PROPER else word)
    out += _letters(run)
    text = " ".join(out)
    return text[:1].upper() + text[1:]


def _letters(run: list[str]) -> list[str]:
    joined = "".join(run)
    return [joined] if joined in _ACRONYMS else [*run]
