"""How much of an answer was played to a caller who spoke over it, found in the sound."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from livekit.agents.types import USERDATA_TIMED_TRANSCRIPT

from assistant.reply import Assistant
from voice_service.agent import resources, wording
from voice_service.agent.minds import LibraryMind
from voice_service.agent.parts import Question
from voice_service.offline.speech import OfflineTTS
from voice_service.settings import Settings

RATE = 24_000
FRAME = 240
QUIET = 200.0
TONE = 1_500.0
ALIKE = 100
"""Frames in which the beginning of an answer is found."""
ROOT = Path(__file__).resolve().parents[2]


async def answer(question: str) -> str:
    """All that library mode says aloud."""
    settings = Settings.model_construct(data_dir=ROOT / ".medbot", library_dir=ROOT / "library")
    loaded = resources.load(settings)
    assistant = Assistant(loaded.library, loaded.composer, (), None, spoken=True)
    words = LibraryMind(lambda: assistant).answer(Question(question, (), "none"))
    return "".join([word async for word in words if isinstance(word, str)])


async def spoken_offline(text: str) -> tuple[bytes, list[tuple[str, float]]]:
    """The sound of an answer as offline voice makes it, and when each word of it begins."""
    sound, words = b"", list[tuple[str, float]]()
    for sentence in _sentences(text):
        before = len(sound) / 2 / RATE
        async with OfflineTTS(None).stream() as stream:
            stream.push_text(sentence)
            stream.end_input()
            async for made in stream:
                for word in made.frame.userdata.get(USERDATA_TIMED_TRANSCRIPT, []):
                    words.append((f"{word.strip()} ", before + float(word.start_time)))
                sound += bytes(made.frame.data)
    return sound, words


def _sentences(text: str) -> Iterator[str]:
    cutter = wording.Sentences()
    yield from cutter.feed(text)
    yield from cutter.end()


def levels(pcm: bytes) -> "np.ndarray[tuple[int], np.dtype[np.float64]]":
    """Loudness, 10 ms by 10 ms."""
    samples = np.frombuffer(pcm, dtype=np.int16).astype(np.float64)
    whole = samples[: len(samples) // FRAME * FRAME].reshape(-1, FRAME)
    loudness: np.ndarray[tuple[int], np.dtype[np.float64]] = np.sqrt((whole**2).mean(axis=1))
    return loudness


def heard_offline(received: bytes, made: bytes) -> tuple[float, float]:
    """Seconds of an answer that were received, at least and at most: within a pause between words
    nothing tells where it was cut. Something else may have come before it."""
    got, wanted = levels(received), levels(made)
    lead = int(np.flatnonzero(wanted > QUIET)[0])
    start = _found(got, wanted[lead : lead + ALIKE])
    loud = np.flatnonzero(got[start:] > QUIET)
    least = lead + int(loud[-1]) + 1
    following = np.flatnonzero(wanted[least:] > QUIET)
    most = least + int(following[0]) if following.size else len(wanted)
    return least * FRAME / RATE, most * FRAME / RATE


def begun(seconds: float, words: Sequence[tuple[str, float]]) -> str:
    """The words that had begun."""
    return "".join(word for word, begins in words if begins < seconds).strip()


def tones_heard(received: bytes) -> int:
    """How many words of the last utterance were heard, where each is a tone of its own."""
    samples = np.frombuffer(received, dtype=np.int16).astype(np.float64)
    width = round(0.04 * RATE)
    for start in range(len(samples) - width, 0, -width // 2):
        window = samples[start : start + width]
        if np.sqrt((window**2).mean()) > TONE:
            hertz = np.argmax(np.abs(np.fft.rfft(window * np.hanning(width), RATE))[:4_000])
            return round((int(hertz) - 300) / 60) + 1
    return 0


def _found(
    got: "np.ndarray[tuple[int], np.dtype[np.float64]]",
    part: "np.ndarray[tuple[int], np.dtype[np.float64]]",
) -> int:
    """Where something like a part begins."""
    part = part - part.mean()
    alike = []
    for start in range(max(1, len(got) - len(part))):
        piece = got[start : start + len(part)] - got[start : start + len(part)].mean()
        size = np.linalg.norm(piece) * np.linalg.norm(part[: len(piece)])
        alike.append(float(piece @ part[: len(piece)] / size) if size else 0.0)
    return int(np.argmax(alike))
