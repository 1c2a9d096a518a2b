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

from voice_service.agent.parts import PartFailed, Voice

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
        plugin.on("error", _known)

    async def say(self, sentence: str, *, within: float) -> AsyncIterator[rtc.AudioFrame]:
        """The sentence, with deadlines for the first sound and for each next one."""
        stream = self._plugin.synthesize(sentence, conn_options=_ONCE)
        spoken, started = 0.0, time.monotonic()
        try:
            sounds = stream.__aiter__()
            while True:
                left = within if not spoken else spoken + STALLS_AFTER
                async with asyncio.timeout(max(0.05, started + left - time.monotonic())):
                    try:
                        frame = (await sounds.__anext__()).frame
                    except StopAsyncIteration:
                        break
                if not spoken:
                    started = time.monotonic()
                spoken += frame.duration
                yield frame
        except TimeoutError:
            raise PartFailed(self.name, "too slow") from None
        except PartFailed:
            raise
        except Exception as error:  # whatever a plugin raises, the next voice must speak
            status = getattr(error, "status_code", "")
            raise PartFailed(self.name, f"{type(error).__name__} {status}".strip()) from None
        finally:
            with contextlib.suppress(Exception):
                await stream.aclose()
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
        order = self._in_order()
        for voice in order:
            spoken = 0.0
            within = voice.within
            if voice is not order[-1]:
                within = min(within, max(LEAST, MOST_SILENT - self._silent_for()))
            try:
                async for frame in self._one_rate(voice.say(rest, within=within)):
                    spoken += frame.duration
                    yield frame
                self._rests_until.pop(voice.name, None)
                return
            except PartFailed as failed:
                _log.warning("voice.failed", part=failed.part, reason=failed.reason)
                self._rests_until[voice.name] = time.monotonic() + RESTS
                rest = _after(rest, spoken)
        _log.error("voice.none_left")

    async def use(self, voices: Sequence[Voice]) -> None:
        """Other voices, from the next sentence on."""
        before, self._voices = self._voices, tuple(voices)
        self._rests_until.clear()
        for voice in before:
            if voice not in self._voices:
                await voice.aclose()

    async def render(self, sentence: str) -> list[rtc.AudioFrame]:
        """The sound of a sentence as a whole."""
        return [frame async for frame in self.say(sentence)]

    async def aclose(self) -> None:
        """Closes every voice."""
        for voice in self._voices:
            await voice.aclose()

    async def _one_rate(
        self, frames: AsyncIterator[rtc.AudioFrame]
    ) -> AsyncIterator[rtc.AudioFrame]:
        resampler: rtc.AudioResampler | None = None
        async for frame in frames:
            if frame.sample_rate == self._rate:
                yield frame
                continue
            if resampler is None:
                resampler = rtc.AudioResampler(frame.sample_rate, self._rate)
            words = frame.userdata.get(USERDATA_TIMED_TRANSCRIPT)
            for made in resampler.push(frame):
                if words:
                    made.userdata[USERDATA_TIMED_TRANSCRIPT], words = words, None
                yield made
        if resampler is not None:
            for made in resampler.flush():
                yield made

    def _in_order(self) -> list[Voice]:
        now = time.monotonic()
        return sorted(self._voices, key=lambda each: self._rests_until.get(each.name, 0.0) > now)


def timed(text: str, start: float) -> TimedString:
    """Words that begin `start` seconds into what is being said."""
    return TimedString(text, start_time=start)


def _after(sentence: str, seconds: float) -> str:
    """What is left of a sentence after so many seconds of it, from the word that was cut."""
    words = sentence.split(" ")
    return " ".join(words[min(int(seconds * WORDS_A_SECOND), len(words) - 1) :])


def _known(_: object) -> None:
    """Errors come back from the stream itself; an event without a listener would be raised."""
