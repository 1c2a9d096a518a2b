"""Recognition as a plugin for an agent session.

A stream is cut into utterances by whoever pushes the sound: `flush` and `end_input` end one. The
plugin keeps one recogniser process for its whole life, so that what it learnt of a caller's voice
stays: make one plugin a session.
"""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from typing import Any

from livekit import rtc
from livekit.agents import APIConnectionError, APIConnectOptions, LanguageCode, stt
from livekit.agents.types import DEFAULT_API_CONNECT_OPTIONS, NOT_GIVEN, NotGivenOr
from livekit.agents.utils import AudioBuffer, merge_frames

from voice_service.offline import hearing, pool, readback

_LANGUAGE = LanguageCode("en")
_LEAST = 0.001
"""A confidence of zero would say that none is known."""

Lease = Callable[[], AbstractAsyncContextManager[pool.Ear]]


class OfflineSTT(stt.STT[Any]):
    """One caller's recogniser; `lease` gives it a process once it is ready."""

    def __init__(self, lease: Lease) -> None:
        super().__init__(
            capabilities=stt.STTCapabilities(
                streaming=True, interim_results=True, offline_recognize=True
            )
        )
        self._lease = lease
        self._stack = AsyncExitStack()
        self._ear: pool.Ear | None = None
        self._turn = asyncio.Lock()

    @property
    def model(self) -> str:
        return "pocketsphinx"

    @property
    def provider(self) -> str:
        return "offline"

    def stream(
        self,
        *,
        language: NotGivenOr[str] = NOT_GIVEN,
        conn_options: APIConnectOptions = DEFAULT_API_CONNECT_OPTIONS,
    ) -> "Listening":
        """Listens along, in English whatever `language` says."""
        return Listening(self, conn_options)

    @asynccontextmanager
    async def utterance(self, partial: Callable[[str], None] | None) -> AsyncIterator[pool.Ear]:
        """The process, at the beginning of an utterance; one utterance at a time."""
        async with self._turn:
            try:
                ear = await self._mine()
                ear.start(partial)
                try:
                    yield ear
                finally:
                    ear.drop()
            except (pool.Deaf, pool.Full) as error:
                raise APIConnectionError(str(error)) from error

    async def _mine(self) -> pool.Ear:
        if self._ear is None or not self._ear.alive:
            await self._stack.aclose()
            self._ear = await self._stack.enter_async_context(self._lease())
        return self._ear

    async def _recognize_impl(
        self,
        buffer: AudioBuffer,
        *,
        language: NotGivenOr[str] = NOT_GIVEN,
        conn_options: APIConnectOptions,
    ) -> stt.SpeechEvent:
        frame = merge_frames(buffer)
        async with self.utterance(None) as ear:
            for piece in _at_rate([frame]):
                await ear.feed(bytes(piece.data.cast("B")))
            return _event(stt.SpeechEventType.FINAL_TRANSCRIPT, await ear.end())

    async def aclose(self) -> None:
        """Gives the process back."""
        async with self._turn:
            self._ear = None
            await self._stack.aclose()


class Listening(stt.RecognizeStream):
    """Utterances, one after the other."""

    def __init__(self, plugin: OfflineSTT, conn_options: APIConnectOptions) -> None:
        super().__init__(stt=plugin, conn_options=conn_options, sample_rate=hearing.RATE_HZ)
        self._plugin = plugin

    async def _run(self) -> None:
        async for first in self._input_ch:
            if isinstance(first, rtc.AudioFrame):
                await self._utterance(first)

    async def _utterance(self, first: rtc.AudioFrame) -> None:
        began = time.time()
        async with self._plugin.utterance(self._partial) as ear:
            self._send(stt.SpeechEvent(stt.SpeechEventType.START_OF_SPEECH))
            seconds = first.duration
            await ear.feed(_pcm(first))
            async for frame in self._input_ch:
                if not isinstance(frame, rtc.AudioFrame):
                    break
                seconds += frame.duration
                await ear.feed(_pcm(frame))
            heard = await ear.end()
        final = _event(stt.SpeechEventType.FINAL_TRANSCRIPT, heard)
        final.alternatives[0].start_time = max(0.0, began - self.start_time)
        final.alternatives[0].end_time = final.alternatives[0].start_time + seconds
        self._send(final)
        self._send(stt.SpeechEvent(stt.SpeechEventType.END_OF_SPEECH))
        usage = stt.RecognitionUsage(audio_duration=seconds)
        self._send(stt.SpeechEvent(stt.SpeechEventType.RECOGNITION_USAGE, recognition_usage=usage))

    def _partial(self, text: str) -> None:
        if text:
            self._send(
                stt.SpeechEvent(
                    stt.SpeechEventType.INTERIM_TRANSCRIPT,
                    alternatives=[stt.SpeechData(language=_LANGUAGE, text=text)],
                )
            )

    def _send(self, event: stt.SpeechEvent) -> None:
        with contextlib.suppress(RuntimeError):  # the stream was closed meanwhile
            self._event_ch.send_nowait(event)


def _pcm(frame: rtc.AudioFrame) -> bytes:
    """The first channel."""
    if frame.num_channels == 1:
        return bytes(frame.data.cast("B"))
    return bytes(memoryview(frame.data)[:: frame.num_channels].tobytes())


def _at_rate(frames: list[rtc.AudioFrame]) -> list[rtc.AudioFrame]:
    if frames[0].sample_rate == hearing.RATE_HZ:
        return frames
    resampler = rtc.AudioResampler(
        frames[0].sample_rate, hearing.RATE_HZ, quality=rtc.AudioResamplerQuality.HIGH
    )
    return [piece for frame in frames for piece in resampler.push(frame)] + resampler.flush()


def _event(kind: stt.SpeechEventType, heard: hearing.Hearing) -> stt.SpeechEvent:
    data = stt.SpeechData(
        language=_LANGUAGE,
        text=heard.text,
        confidence=max(_LEAST, round(heard.confidence, 3)),
        metadata={
            "sure": heard.sure,
            "keyphrases": list(heard.keyphrases),
            "read_back": list(readback.must_read_back(heard.text)),
        },
    )
    return stt.SpeechEvent(kind, alternatives=[data])
