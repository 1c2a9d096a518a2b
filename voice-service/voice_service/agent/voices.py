"""Parts that speak: any text-to-speech plugin, and the chain that asks them in order."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any

import structlog
from livekit import rtc
from livekit.agents import APIConnectOptions, tts
from livekit.agents.types import USERDATA_TIMED_TRANSCRIPT, TimedString

from telemetry import catalogue
from voice_service.agent import wording
from voice_service.agent.parts import PartFailed, Voice, asking

RESTS = 15.0
"""Seconds for which a part that failed is asked last."""
MOST_SILENT = 1.7
"""Seconds of silence that a voice may use up before another one speaks,"""
LEAST = 0.5
"""but it has so many seconds in any case."""
STALLS_AFTER = 1.0
"""Seconds that the next sound may take beyond what was already given."""
WORDS_A_SECOND = 2.7
"""How fast speech is taken to be where a voice broke off and another goes on."""

_ONCE = APIConnectOptions(max_retry=0, retry_interval=0.1, timeout=2.0)
_log = structlog.stdlib.get_logger(__name__)


class PluginVoice:
    """A text-to-speech plugin."""

    def __init__(self, name: str, plugin: tts.TTS[Any], *, within: float) -> None:
        self.name, self.within = name, within
        self._plugin = plugin
        self._times_words = plugin.capabilities.aligned_transcript
        plugin.on("error", _known)

    async def say(self, sentence: str, *, within: float) -> AsyncIterator[rtc.AudioFrame]:
        """The sentence; each frame carries the words that begin in it, where that is known."""
        words = None if self._times_words else [timed(sentence + " ", 0.0)]
        written = f"{sentence} " if self._times_words else wording.spoken(sentence)
        spoken = False
        try:
            async for frame in _in_time(
                self._plugin.synthesize(written, conn_options=_ONCE), within
            ):
                if words is not None:
                    frame.userdata[USERDATA_TIMED_TRANSCRIPT], words = words, None
                spoken = True
                yield frame
        except TimeoutError:
            raise PartFailed(self.name, "too slow") from None
        except Exception as error:  # whatever a plugin raises, the next voice must speak
            status = getattr(error, "status_code", "")
            raise PartFailed(self.name, f"{type(error).__name__} {status}".strip()) from None
        if not spoken:
            raise PartFailed(self.name, "no sound")

    async def aclose(self) -> None:
        """Closes the plugin."""
        await self._plugin.aclose()


class Speech:
    """The voices in order; one that failed rests behind the others."""

    def __init__(
        self,
        voices: Sequence[Voice],
        *,
        sample_rate: int,
        silent_for: Callable[[], float] = lambda: 0.0,
    ) -> None:
        self._voices = tuple(voices)
        self._silent_for = silent_for
        self._rests_until: dict[str, float] = {}
        self._rate = sample_rate

    async def say(self, sentence: str) -> AsyncIterator[rtc.AudioFrame]:
        """A sentence in one rate, whoever speaks it; where a voice breaks off, the next goes on.

        A sentence that no voice can speak is silent, and logged.
        """
        rest = sentence
        order, told = self._in_order(), False
        for voice in order:
            spoken, within = 0.0, voice.within
            if voice is not order[-1]:
                within = min(within, max(LEAST, MOST_SILENT - self._silent_for()))
            span = asking("speech", voice.name)
            try:
                async for frame in _one_rate(voice.say(rest, within=within), self._rate):
                    if told:
                        frame.userdata.pop(USERDATA_TIMED_TRANSCRIPT, None)
                    spoken += frame.duration
                    yield frame
                self._rests_until.pop(voice.name, None)
                return
            except PartFailed as failed:
                span.end(failed.reason)
                catalogue.FALLBACKS.add(failed.part, failed.reason)
                _log.warning("voice.failed", part=failed.part, reason=failed.reason)
                self._rests_until[voice.name] = time.monotonic() + RESTS
                rest, told = _after(rest, spoken), told or spoken > 0
            finally:
                span.end()
        _log.error("voice.none_left")

    async def use(self, voices: Sequence[Voice]) -> None:
        """Other voices, from the next sentence on."""
        before, self._voices = self._voices, tuple(voices)
        self._rests_until.clear()
        for voice in before:
            if voice not in self._voices:
                await voice.aclose()

    async def render(self, sentence: str) -> list[rtc.AudioFrame]:
        """The sound of a sentence as a whole, in the voice that is first.

        Raises:
            PartFailed: that one cannot speak now.
        """
        if not self._voices:
            raise PartFailed("speech", "no voice")
        first = self._voices[0]
        sound = first.say(sentence, within=first.within)
        return [frame async for frame in _one_rate(sound, self._rate)]

    async def aclose(self) -> None:
        """Closes every voice."""
        for voice in self._voices:
            await voice.aclose()

    def _in_order(self) -> list[Voice]:
        now = time.monotonic()
        return sorted(self._voices, key=lambda each: self._rests_until.get(each.name, 0.0) > now)


async def _in_time(stream: tts.ChunkedStream, within: float) -> AsyncIterator[rtc.AudioFrame]:
    """The frames of a stream, with deadlines for the first one and for each next one.

    Raises:
        TimeoutError: one came too late.
    """
    spoken, started = 0.0, time.monotonic()
    sounds = stream.__aiter__()
    try:
        while True:
            left = within if not spoken else spoken + STALLS_AFTER
            async with asyncio.timeout(max(0.05, started + left - time.monotonic())):
                try:
                    frame = (await sounds.__anext__()).frame
                except StopAsyncIteration:
                    return
            if not spoken:
                started = time.monotonic()
            spoken += frame.duration
            yield frame
    finally:
        with contextlib.suppress(Exception):
            await stream.aclose()


async def _one_rate(
    frames: AsyncIterator[rtc.AudioFrame], rate: int
) -> AsyncIterator[rtc.AudioFrame]:
    """The same sound in one rate, with the words that its frames carry."""
    resampler: rtc.AudioResampler | None = None
    words: list[TimedString] = []
    async for frame in frames:
        if frame.sample_rate == rate:
            yield frame
            continue
        if resampler is None:
            resampler = rtc.AudioResampler(frame.sample_rate, rate)
        words += frame.userdata.get(USERDATA_TIMED_TRANSCRIPT, [])
        for made in _laden(resampler.push(frame), words):
            yield made
    if resampler is not None:
        last = resampler.flush()
        if words and not last:
            last = [rtc.AudioFrame.create(rate, 1, rate // 100)]
        for made in _laden(last, words):
            yield made


def _laden(frames: list[rtc.AudioFrame], words: list[TimedString]) -> list[rtc.AudioFrame]:
    """The frames, the first of them with the words, which are then gone from the list."""
    if frames and words:
        frames[0].userdata[USERDATA_TIMED_TRANSCRIPT] = list(words)
        words.clear()
    return frames


def timed(text: str, start: float) -> TimedString:
    """Words that begin `start` seconds into what is being said."""
    return TimedString(text, start_time=start)


def _after(sentence: str, seconds: float) -> str:
    """What is left of a sentence after so many seconds of it, from the word that was cut."""
    words = sentence.split(" ")
    return " ".join(words[min(int(seconds * WORDS_A_SECOND), len(words) - 1) :])


def _known(_: object) -> None:
    """Errors come back from the stream itself; an event without a listener would be raised."""
