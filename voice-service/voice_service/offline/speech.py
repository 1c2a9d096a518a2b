"""Speech as a plugin for an agent session: espeak-ng's library, with the time of every word."""

import asyncio
import re
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from livekit.agents import APIConnectOptions, APIError, tts, utils
from livekit.agents.types import DEFAULT_API_CONNECT_OPTIONS, TimedString

from voice_service.offline import espeak, spoken, voices

_SPEED = 158
_PITCH = 46
_SENTENCE = re.compile(r".+?(?:[.!?]+[\"')\]]*(?=\s|$)|$)\s*", re.DOTALL)
_one_thread = ThreadPoolExecutor(1, "espeak")


class OfflineTTS(tts.TTS[Any]):
    """Speaks English. `voice` is one of `voices`; another name gives the default."""

    def __init__(self, voice: str | None = None) -> None:
        super().__init__(
            capabilities=tts.TTSCapabilities(streaming=True, aligned_transcript=True),
            sample_rate=espeak.RATE_HZ,
            num_channels=1,
        )
        self.voice = voices.VOICES.get(voice or "", voices.VOICES[voices.DEFAULT])

    @property
    def model(self) -> str:
        return "espeak-ng"

    @property
    def provider(self) -> str:
        return "offline"

    def synthesize(
        self, text: str, *, conn_options: APIConnectOptions = DEFAULT_API_CONNECT_OPTIONS
    ) -> tts.ChunkedStream:
        """Speaks a whole text."""
        return _Whole(tts=self, input_text=text, conn_options=conn_options)

    def stream(
        self, *, conn_options: APIConnectOptions = DEFAULT_API_CONNECT_OPTIONS
    ) -> tts.SynthesizeStream:
        """Speaks a text sentence by sentence while it comes."""
        return _Sentences(self, conn_options)


class _Whole(tts.ChunkedStream):
    async def _run(self, output_emitter: tts.AudioEmitter) -> None:
        assert isinstance(self._tts, OfflineTTS)
        output_emitter.initialize(
            request_id=utils.shortuuid(),
            sample_rate=espeak.RATE_HZ,
            num_channels=1,
            mime_type="audio/pcm",
            frame_size_ms=50,
        )
        clock = _Clock()
        for sentence in sentences(self._input_text):
            await _speak(sentence, self._tts.voice, output_emitter, clock)
        output_emitter.flush()


class _Sentences(tts.SynthesizeStream):
    def __init__(self, plugin: OfflineTTS, conn_options: APIConnectOptions) -> None:
        super().__init__(tts=plugin, conn_options=conn_options)
        self._voice = plugin.voice

    async def _run(self, output_emitter: tts.AudioEmitter) -> None:
        output_emitter.initialize(
            request_id=utils.shortuuid(),
            sample_rate=espeak.RATE_HZ,
            num_channels=1,
            mime_type="audio/pcm",
            frame_size_ms=50,
            stream=True,
        )
        clock = _Clock()
        waiting, open_segment = "", False
        async for piece in self._input_ch:
            if isinstance(piece, str):
                if not open_segment:
                    output_emitter.start_segment(segment_id=utils.shortuuid())
                    open_segment, clock = True, _Clock()
                waiting += piece
                *whole, waiting = list(sentences(waiting)) or [""]
                for sentence in whole:
                    self._mark_started()
                    await _speak(sentence, self._voice, output_emitter, clock)
            elif open_segment:
                self._mark_started()
                await _speak(waiting, self._voice, output_emitter, clock)
                output_emitter.end_segment()
                waiting, open_segment = "", False
        if open_segment:
            self._mark_started()
            await _speak(waiting, self._voice, output_emitter, clock)
            output_emitter.end_segment()


class _Clock:
    """Samples spoken so far in a segment."""

    samples = 0

    def seconds(self) -> float:
        return self.samples / espeak.RATE_HZ


def sentences(text: str) -> Iterator[str]:
    """The text cut after its sentences; joined, it is the text again."""
    for found in _SENTENCE.finditer(text):
        yield found.group()


async def _speak(text: str, voice: str, out: tts.AudioEmitter, clock: _Clock) -> None:
    """The sound of one sentence, and its words with the seconds at which they begin.

    A word is told as soon as the next one begins: whoever cuts the sentence knows it by then.
    """
    form = spoken.form(text)
    if not form.text.strip():
        if text:
            out.push_timed_transcript(TimedString(text, start_time=clock.seconds()))
        return
    loop = asyncio.get_running_loop()
    sounds: asyncio.Queue[espeak.Sound | None] = asyncio.Queue()
    stop = threading.Event()

    def take(sound: espeak.Sound) -> bool:
        loop.call_soon_threadsafe(sounds.put_nowait, sound)
        return not stop.is_set()

    def speak() -> None:
        try:
            espeak.voice().speak(form.text, take, name=voice, speed=_SPEED, pitch=_PITCH)
        finally:
            loop.call_soon_threadsafe(sounds.put_nowait, None)

    speaking = loop.run_in_executor(_one_thread, speak)
    words = _Words(form, clock.seconds())
    try:
        while (sound := await sounds.get()) is not None:
            out.push_timed_transcript(words.over(sound.words, clock.seconds()))
            if sound.pcm:
                out.push(sound.pcm)
                clock.samples += len(sound.pcm) // 2
        await speaking
    except espeak.Unspeakable as error:
        raise APIError(str(error), retryable=False) from error
    finally:
        stop.set()
    out.push_timed_transcript(words.rest(clock.seconds()))


class _Words:
    """The words of one sentence, told once each; times are seconds within the segment."""

    def __init__(self, form: spoken.Form, begun: float) -> None:
        self._form, self._begun = form, begun
        self._starts: list[espeak.WordStart] = []
        self._told = 0

    def over(self, starts: Sequence[espeak.WordStart], now: float) -> list[TimedString]:
        """Those after which another has begun; `starts` are new."""
        if not starts:
            return []
        self._starts += starts
        latest = max(start.start for start in self._starts)
        places = [place for place, word in enumerate(self._form.words) if word.start <= latest]
        before = self._told
        self._told = max(before, places[-1] if places else 0)
        return list(_timed(self._form, self._starts, self._begun, now))[before : self._told]

    def rest(self, ended: float) -> list[TimedString]:
        """Those that were not told."""
        return list(_timed(self._form, self._starts, self._begun, ended))[self._told :]


def _timed(
    form: spoken.Form, starts: list[espeak.WordStart], begun: float, ended: float
) -> Iterator[TimedString]:
    """The words as written, with their blanks, each with the seconds of its sound."""
    times: list[float] = []
    for word in form.words:
        said = [start.seconds for start in starts if word.start <= start.start < word.end]
        times.append(begun + said[0] if said else (times[-1] if times else begun))
    for index, word in enumerate(form.words):
        end = times[index + 1] if index + 1 < len(times) else ended
        yield TimedString(word.written, start_time=times[index], end_time=max(end, times[index]))
