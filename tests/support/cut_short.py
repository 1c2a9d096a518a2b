"""How much of an utterance reached a client, found in the sound that it received."""

from collections.abc import Sequence

import numpy as np
from livekit.agents.types import USERDATA_TIMED_TRANSCRIPT

from voice_service.offline.speech import OfflineTTS

RATE = 24_000
FRAME = 240
LEAST = 0.4
"""Seconds of likeness that are sure to be no chance."""


async def spoken_offline(text: str) -> tuple[bytes, list[tuple[str, float]]]:
    """The sound of a text as offline voice makes it, and when each word of it begins."""
    sound, words = b"", list[tuple[str, float]]()
    async with OfflineTTS(None).stream() as stream:
        stream.push_text(text)
        stream.end_input()
        async for made in stream:
            for word in made.frame.userdata.get(USERDATA_TIMED_TRANSCRIPT, []):
                words.append((str(word), float(word.start_time)))
            sound += bytes(made.frame.data)
    return sound, words


def levels(pcm: bytes) -> "np.ndarray[tuple[int], np.dtype[np.float64]]":
    """Loudness, 10 ms by 10 ms."""
    samples = np.frombuffer(pcm, dtype=np.int16).astype(np.float64)
    whole = samples[: len(samples) // FRAME * FRAME].reshape(-1, FRAME)
    loudness: np.ndarray[tuple[int], np.dtype[np.float64]] = np.sqrt((whole**2).mean(axis=1))
    return loudness


def played(received: bytes, made: bytes) -> float:
    """Seconds of what was made that were received; both begin with the first sound."""
    got, wanted = _from_sound(levels(received)), _from_sound(levels(made))
    return _last_loud(got[: len(wanted)]) * FRAME / RATE


def words_by(seconds: float, words: Sequence[tuple[str, float]]) -> int:
    """How many words had begun."""
    return sum(begins < seconds for _, begins in words)


def _from_sound(
    levels: "np.ndarray[tuple[int], np.dtype[np.float64]]",
) -> "np.ndarray[tuple[int], np.dtype[np.float64]]":
    loud = np.flatnonzero(levels > 200)
    return levels[loud[0] :] if loud.size else levels[:0]


def _last_loud(levels: "np.ndarray[tuple[int], np.dtype[np.float64]]") -> int:
    loud = np.flatnonzero(levels > 200)
    return int(loud[-1]) + 1 if loud.size else 0
