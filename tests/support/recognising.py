"""Sentences spoken by flite into recorded sound, and how well a recogniser reads them."""

import subprocess
import tempfile
import wave
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np

from assistant import safety

VOICES = ("slt", "rms", "awb", "kal16")
RATE_HZ = 16_000
_PADDING = 0.3
_FLOOR_DB = -62
_LITTLE = frozenset(
    ("a", "an", "the", "is", "are", "was", "were", "am", "be", "been", "i", "you", "he", "she",
     "it", "we", "they", "me", "my", "your", "his", "her", "its", "our", "their", "to", "of", "in",
     "on", "at", "for", "with", "and", "or", "but", "do", "does", "did", "have", "has", "had",
     "can", "could", "will", "would", "should", "this", "that", "these", "those", "what", "how",
     "when", "why", "who", "which", "if", "so", "as", "by", "from", "about", "please", "um",
     "just", "there", "it's")
)  # fmt: skip


@dataclass(frozen=True)
class Sentence:
    """What is said, and what kind of thing it is."""

    kind: str
    text: str


def read(path: Path) -> list[Sentence]:
    """The sentences of a table whose last two columns are the kind and the text."""
    rows = [line.split("\t")[-2:] for line in path.read_text(encoding="utf-8").splitlines()[1:]]
    return [Sentence(kind, text) for kind, text in rows]


@cache
def speech(text: str, voice: str, noise_db: float | None = None) -> bytes:
    """16-bit PCM at 16 kHz: 0.3 s before and after, a floor of -62 dBFS, and white noise
    `noise_db` below the speech where it is given."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "said.wav"
        subprocess.run(["flite", "-voice", voice, "-t", text, "-o", str(path)], check=True)
        with wave.open(str(path)) as said:
            rate = said.getframerate()
            samples = np.frombuffer(said.readframes(said.getnframes()), dtype=np.int16)
    spoken = samples.astype(np.float64)
    if rate != RATE_HZ:
        count = int(len(spoken) * RATE_HZ / rate)
        spoken = np.interp(np.arange(count) * rate / RATE_HZ, np.arange(len(spoken)), spoken)
    silence = np.zeros(int(_PADDING * RATE_HZ))
    level = 32_768 * 10 ** (_FLOOR_DB / 20)
    if noise_db is not None:
        level = float(np.sqrt((spoken**2).mean())) * 10 ** (-noise_db / 20)
    whole = np.concatenate([silence, spoken, silence])
    whole += np.random.default_rng(1).normal(0, level, len(whole))
    return bytes(np.clip(whole, -32_768, 32_767).astype(np.int16).tobytes())


def plain(text: str) -> list[str]:
    """The words as they are compared: lower case, letters apart, `i'm` as `i am`."""
    words: list[str] = []
    for word in text.split():
        bare = word.strip(".,?!")
        words += list(bare.lower()) if bare.isupper() and len(bare) > 1 else [bare.lower()]
    return " ".join(words).replace("i'm", "i am").split()


@dataclass(frozen=True)
class Read:
    """A sentence, and what was heard of it."""

    sentence: Sentence
    heard: str

    @property
    def whole(self) -> bool:
        return plain(self.heard) == plain(self.sentence.text)

    @property
    def content(self) -> bool:
        """Whether every word is there that is not a little one."""
        return set(plain(self.sentence.text)) - _LITTLE <= set(plain(self.heard))


@dataclass(frozen=True)
class Score:
    """Shares of sentences. `alarms` is that of the emergencies of which the safety gate says so
    when it reads them, and says so when it reads what was heard; `false` counts alarms at what
    was heard of other sentences."""

    count: int
    whole: float
    content: float
    alarms: float
    alarming: int
    false: int


def score(reads: Iterable[Read]) -> Score:
    """Of at least one reading."""
    read = list(reads)
    meant = [one for one in read if one.sentence.kind == "emergency" and alarm(one.sentence.text)]
    others = [one for one in read if one.sentence.kind != "emergency"]
    return Score(
        len(read),
        _share([one.whole for one in read]),
        _share([one.content for one in read]),
        _share([alarm(one.heard) for one in meant]),
        len(meant),
        sum(alarm(one.heard) and not alarm(one.sentence.text) for one in others),
    )


def alarm(text: str) -> bool:
    """Whether the safety gate sees an emergency or a crisis."""
    return safety.assess(text).level in (safety.Level.EMERGENCY, safety.Level.CRISIS)


def _share(held: Sequence[bool]) -> float:
    return sum(held) / len(held) if held else 1.0
