"""Hears the caller: finds where speech is, and asks the ears in order until one has the words.

To the session it is one speech-to-text plugin. A part that refuses, or is mute beyond its
deadline, is passed over for a while, and the same sound goes to the next one: no turn is lost.
"""

import asyncio
import time
from collections.abc import AsyncIterable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import structlog
from livekit import rtc
from livekit.agents import APIConnectOptions, LanguageCode, stt, vad
from livekit.agents.types import DEFAULT_API_CONNECT_OPTIONS, NOT_GIVEN, NotGivenOr
from livekit.agents.utils import AudioBuffer, aio

from telemetry import catalogue
from voice_service.agent.detecting import Detector
from voice_service.agent.parts import Ear, Heard, PartFailed, asking

RESTS = 15.0
"""Seconds for which a part that failed is asked last."""
LOOKS = 0.1
"""Seconds between two looks at the words so far."""

_log = structlog.stdlib.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Stretch:
    """One stretch of speech; times are seconds since 1970."""

    began: float
    ended: float = 0.0


class Listener(Protocol):
    """Who is told what the caller says, before the session knows it."""

    def speech_began(self, stretch: Stretch) -> None: ...

    def speech_ended(self, stretch: Stretch) -> None:
        """The words are still being found."""

    def partly(self, text: str, stretch: Stretch) -> None: ...

    def heard(self, heard: Heard, stretch: Stretch) -> bool:
        """Whether these words are for the session, once it is `ready`."""

    async def ready(self) -> None:
        """Waits until the session may have words; it has them at once when this returns."""

    def unheard(self, stretch: Stretch) -> None:
        """Speech without words, such as a noise."""

    def deaf(self, stretch: Stretch) -> None:
        """Speech that no part can hear."""


class Chain:
    """The ears in order; one that failed rests behind the others."""

    def __init__(self, ears: Sequence[Ear]) -> None:
        self._ears = tuple(ears)
        self._rests_until: dict[str, float] = {}

    def first(self) -> Ear:
        """The one that listens along."""
        return self._in_order()[0]

    async def hear(self, frames: Sequence[rtc.AudioFrame], began: float) -> Heard | None:
        """The words, or None when no ear can hear."""
        heard = await self._hear(frames, began)
        for ear in self._ears:
            ear.forget(began)
        return heard

    async def _hear(self, frames: Sequence[rtc.AudioFrame], began: float) -> Heard | None:
        for ear in self._in_order():
            span = asking("transcription", ear.name)
            try:
                heard = await ear.hear(frames, began)
            except Exception as error:  # however it fails, the next one must hear
                failed = PartFailed.of(error, ear.name)
                span.end(failed.reason)
                catalogue.FALLBACKS.add(failed.part, failed.reason)
                _log.warning("ear.failed", part=failed.part, reason=failed.reason)
                self._rests_until[ear.name] = time.monotonic() + RESTS
            else:
                self._rests_until.pop(ear.name, None)
                return heard
            finally:
                span.end()
        return None

    async def aclose(self) -> None:
        """Closes every ear."""
        for ear in self._ears:
            await ear.aclose()

    def _in_order(self) -> list[Ear]:
        now = time.monotonic()
        return sorted(self._ears, key=lambda ear: self._rests_until.get(ear.name, 0.0) > now)


class Hearing(stt.STT[Any]):
    """The ears as the session's speech-to-text."""

    def __init__(self, chain: Chain, detector: Detector, listener: Listener, language: str) -> None:
        super().__init__(
            capabilities=stt.STTCapabilities(
                streaming=True, interim_results=True, offline_recognize=False
            )
        )
        self.chain, self.detector, self.listener = chain, detector, listener
        self.language = LanguageCode(language)

    async def _recognize_impl(
        self,
        buffer: AudioBuffer,
        *,
        language: NotGivenOr[str] = NOT_GIVEN,
        conn_options: APIConnectOptions,
    ) -> stt.SpeechEvent:
        raise NotImplementedError("it listens to streams alone")

    def stream(
        self,
        *,
        language: NotGivenOr[str] = NOT_GIVEN,
        conn_options: APIConnectOptions = DEFAULT_API_CONNECT_OPTIONS,
    ) -> "HearingStream":
        return HearingStream(self, conn_options)

    async def aclose(self) -> None:
        """Closes the ears."""
        await self.chain.aclose()


class HearingStream(stt.RecognizeStream):
    """The caller's sound, from the first frame to the last."""

    def __init__(self, hearing: Hearing, conn_options: APIConnectOptions) -> None:
        super().__init__(stt=hearing, conn_options=conn_options)
        self._hearing = hearing
        self._ear: Ear | None = None
        self._stretch: Stretch | None = None
        self._shown = ""
        self._looked = 0.0

    async def _run(self) -> None:
        found = aio.Chan[vad.VADEvent]()
        whole: asyncio.Queue[tuple[Stretch, list[rtc.AudioFrame]] | None] = asyncio.Queue()
        words: asyncio.Queue[Heard | None] = asyncio.Queue()
        tasks = [
            asyncio.create_task(self._until_the_end(found)),
            asyncio.create_task(self._detect(found, whole)),
            asyncio.create_task(self._find_words(whole, words)),
            asyncio.create_task(self._hand_on(words)),
        ]

        def follow(event: vad.VADEvent) -> None:
            if event.frames and not found.closed:  # the looks at silence have none
                found.send_nowait(event)

        try:
            with self._hearing.detector.followed(follow):
                await asyncio.gather(*tasks)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _until_the_end(self, found: aio.Chan[vad.VADEvent]) -> None:
        """Lets the frames go: the session has given the same ones to the detector."""
        async for _ in self._input_ch:
            pass
        found.close()

    async def _detect(
        self,
        found: AsyncIterable[vad.VADEvent],
        whole: asyncio.Queue[tuple[Stretch, list[rtc.AudioFrame]] | None],
    ) -> None:
        async for event in found:
            if event.type == vad.VADEventType.START_OF_SPEECH:
                self._begin(event)
            elif event.type == vad.VADEventType.END_OF_SPEECH:
                stretch = Stretch(
                    self._stretch.began if self._stretch else time.time(),
                    time.time() - event.silence_duration,
                )
                self._stretch = None
                self._hearing.listener.speech_ended(stretch)
                whole.put_nowait((stretch, event.frames))
            elif event.speaking and self._ear is not None and self._stretch is not None:
                self._ear.push(event.frames)
                self._look(self._stretch)
        whole.put_nowait(None)

    def _begin(self, event: vad.VADEvent) -> None:
        self._stretch = Stretch(time.time() - event.speech_duration)
        self._ear, self._shown = self._hearing.chain.first(), ""
        self._hearing.listener.speech_began(self._stretch)
        self._ear.begin(event.frames, self._stretch.began)

    def _look(self, stretch: Stretch) -> None:
        if (now := time.monotonic()) - self._looked < LOOKS or self._ear is None:
            return
        self._looked = now
        words = self._ear.partial()
        if words and words != self._shown:
            self._shown = words
            self._hearing.listener.partly(words, stretch)
            self._emit(stt.SpeechEventType.INTERIM_TRANSCRIPT, Heard(words))

    async def _find_words(
        self,
        whole: asyncio.Queue[tuple[Stretch, list[rtc.AudioFrame]] | None],
        words: asyncio.Queue[Heard | None],
    ) -> None:
        """The words of each stretch, whatever is being said meanwhile: the gate must know them."""
        while (found := await whole.get()) is not None:
            stretch, frames = found
            heard = await self._hearing.chain.hear(frames, stretch.began)
            if heard is None:
                _log.error("hearing.deaf")
                self._hearing.listener.deaf(stretch)
            elif not heard.text:
                _log.info("hearing.no_words", seconds=round(stretch.ended - stretch.began, 2))
                self._hearing.listener.unheard(stretch)
            elif self._hearing.listener.heard(heard, stretch):
                self._emit(stt.SpeechEventType.INTERIM_TRANSCRIPT, heard)  # shown at once
                words.put_nowait(heard)
        words.put_nowait(None)

    async def _hand_on(self, words: asyncio.Queue[Heard | None]) -> None:
        while (heard := await words.get()) is not None:
            await self._hearing.listener.ready()
            self._emit(stt.SpeechEventType.FINAL_TRANSCRIPT, heard)

    def _emit(self, kind: stt.SpeechEventType, heard: Heard) -> None:
        data = stt.SpeechData(
            language=self._hearing.language,
            text=heard.text,
            confidence=heard.confidence if heard.confidence is not None else 0.0,
        )
        self._event_ch.send_nowait(stt.SpeechEvent(type=kind, alternatives=[data]))
