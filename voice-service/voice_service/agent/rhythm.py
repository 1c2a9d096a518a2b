"""Who made a sound last, and what is said while the caller waits."""

import asyncio
import contextlib
import time
from collections.abc import Hashable, Sequence

from livekit import rtc

from voice_service.agent.parts import PartFailed, Sound, Voiced
from voice_service.agent.voices import Speech

TAKES_LONG = 0.8
"""Seconds that something may take before a filler is said."""
TOO_QUIET = 1.4
"""Seconds of silence after which a filler is said, whoever takes how long."""
MOST_KEPT = 60
"""Sentences whose sound is kept for all sessions, some 100 kB each."""


class Rhythm:
    """How long it has been silent. Times are of the monotonic clock."""

    def __init__(self) -> None:
        self._sound_until = self._caller_until = time.monotonic()
        self._began = self._sound_until

    def caller(self, seconds_ago: float = 0.0) -> None:
        """The caller was heard."""
        self._caller_until = time.monotonic() - seconds_ago

    def sound(self, seconds: float) -> None:
        """So much more sound was made to be played."""
        self._sound_until = max(self._sound_until, time.monotonic()) + seconds

    def begins(self, seconds: float) -> None:
        """So much that was made begins to be played only now."""
        self._began = time.monotonic()
        self._sound_until = max(self._sound_until, self._began + seconds)

    def paused(self, seconds: float) -> None:
        """Nothing was played for so long, at most since it began, and now it goes on."""
        self._sound_until += min(seconds, time.monotonic() - self._began)

    def stopped(self, left: float) -> None:
        """Nothing is played any more but what was made of that which comes next."""
        self._sound_until = min(self._sound_until, time.monotonic() + left)

    def silent_for(self) -> float:
        """Seconds since the last sound; negative for as long as there is more to be played."""
        return time.monotonic() - max(self._sound_until, self._caller_until)


class Shelf:
    """Sound that was made once for all sessions of a process, by voice and sentence."""

    def __init__(self) -> None:
        self._kept: dict[tuple[Hashable, str], list[rtc.AudioFrame]] = {}

    async def sound(self, voice: Hashable, sentence: str, speech: Speech) -> list[rtc.AudioFrame]:
        """A sentence as the first voice of `speech` says it; `voice` tells voices apart.

        Raises:
            PartFailed: that one cannot speak now.
        """
        found = self._kept.get((voice, sentence))
        if found is None:
            found = self._kept[voice, sentence] = await speech.render(sentence)
            while len(self._kept) > MOST_KEPT:
                del self._kept[next(iter(self._kept))]
        return found


class Fillers:
    """Short sentences with their sound at hand, in the session's voice once that is rendered."""

    def __init__(self, sentences: Sequence[str], quick: Speech, shelf: Shelf) -> None:
        self._sentences, self._quick, self._shelf = tuple(sentences), quick, shelf
        self._rendered: dict[str, list[rtc.AudioFrame]] = {}
        self._pumping: set[asyncio.Task[None]] = set()
        self._next = 0

    async def render(self, voice: Hashable, speech: Speech) -> None:
        """Renders all, unless another session did; what fails is said by the quick voice later."""
        self._rendered.clear()
        for sentence in self._sentences:
            with contextlib.suppress(PartFailed):
                self._rendered[sentence] = await self._shelf.sound(voice, sentence, speech)

    def take(self) -> Voiced:
        """The next one."""
        sentence = self._sentences[self._next % len(self._sentences)]
        self._next += 1
        sound = Sound(words=[sentence + " "])
        frames = self._rendered.get(sentence)
        if frames:
            for frame in frames:
                sound.frames.put_nowait(_copy(frame))
            sound.frames.put_nowait(None)
        else:
            task = asyncio.create_task(self._pump(sentence, sound))
            self._pumping.add(task)
            task.add_done_callback(self._pumping.discard)
        return Voiced(sentence + " ", sound)

    def restart(self) -> None:
        """A new turn begins with the first one."""
        self._next = 0

    async def _pump(self, sentence: str, sound: Sound) -> None:
        try:
            async for frame in self._quick.say(sentence):
                sound.frames.put_nowait(frame)
        finally:
            sound.frames.put_nowait(None)


def _copy(frame: rtc.AudioFrame) -> rtc.AudioFrame:
    return rtc.AudioFrame(
        bytes(frame.data), frame.sample_rate, frame.num_channels, frame.samples_per_channel
    )
