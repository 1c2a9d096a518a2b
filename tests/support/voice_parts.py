"""Parts of a voice pipeline that answer at once: what is heard is scripted, what is said is tones.

Each spoken word is a tone of its own for `WORD` seconds, so a test can tell from the sound which
words reached a client.
"""

import asyncio
from collections.abc import AsyncIterable, AsyncIterator, Callable, Sequence
from typing import Any

import numpy as np
from livekit import rtc
from livekit.agents import Agent, ModelSettings, llm, stt, tts, utils
from livekit.agents.language import LanguageCode
from livekit.agents.types import (
    DEFAULT_API_CONNECT_OPTIONS,
    USERDATA_TIMED_TRANSCRIPT,
    APIConnectOptions,
    TimedString,
)

WORD = 0.25
RATE = 24_000
QUIET = 0.2
LOUD = 300.0


class ScriptedHearing(stt.STT[Any]):
    """Hears the next line of its script in each burst of sound, `QUIET` seconds after its end."""

    def __init__(self, lines: Sequence[str]) -> None:
        super().__init__(capabilities=stt.STTCapabilities(streaming=True, interim_results=True))
        self.lines = list(lines)

    async def _recognize_impl(self, *_: Any, **__: Any) -> stt.SpeechEvent:
        raise NotImplementedError("it streams")

    def stream(
        self, *, conn_options: APIConnectOptions = DEFAULT_API_CONNECT_OPTIONS, **_: Any
    ) -> stt.RecognizeStream:
        return _Hearing(self, conn_options)


class _Hearing(stt.RecognizeStream):
    def __init__(self, hearing: ScriptedHearing, conn_options: APIConnectOptions) -> None:
        super().__init__(stt=hearing, conn_options=conn_options, sample_rate=16_000)
        self._lines = hearing.lines

    async def _run(self) -> None:
        quiet, speaking = 0.0, False
        async for frame in self._input_ch:
            if isinstance(frame, self._FlushSentinel):
                continue
            loud = _loudness(bytes(frame.data)) > LOUD
            if loud:
                quiet = 0.0
                if not speaking and self._lines:
                    speaking = True
                    self._tell(stt.SpeechEventType.INTERIM_TRANSCRIPT, self._lines[0].split()[0])
                continue
            quiet += frame.duration
            if speaking and quiet >= QUIET:
                speaking = False
                self._tell(stt.SpeechEventType.FINAL_TRANSCRIPT, self._lines.pop(0))

    def _tell(self, kind: stt.SpeechEventType, text: str) -> None:
        said = stt.SpeechData(language=LanguageCode("en"), text=text, confidence=0.95)
        self._event_ch.send_nowait(stt.SpeechEvent(type=kind, alternatives=[said]))


def _loudness(pcm: bytes) -> float:
    samples = np.frombuffer(pcm, dtype=np.int16).astype(np.float64)
    return float(np.sqrt((samples**2).mean())) if samples.size else 0.0


class ScriptedReplies(llm.LLM[Any]):
    """Answers with the next line of its script, or with the last one again."""

    def __init__(self, lines: Sequence[str]) -> None:
        super().__init__()
        self.lines = list(lines)

    def chat(
        self,
        *,
        chat_ctx: llm.ChatContext,
        tools: list[llm.Tool] | None = None,
        conn_options: APIConnectOptions = DEFAULT_API_CONNECT_OPTIONS,
        **_: Any,
    ) -> llm.LLMStream:
        return _Reply(self, chat_ctx=chat_ctx, tools=tools or [], conn_options=conn_options)


class _Reply(llm.LLMStream):
    async def _run(self) -> None:
        assert isinstance(self._llm, ScriptedReplies)
        lines = self._llm.lines
        text = lines.pop(0) if len(lines) > 1 else lines[0]
        for word in text.split(" "):
            delta = llm.ChoiceDelta(role="assistant", content=f"{word} ")
            self._event_ch.send_nowait(llm.ChatChunk(id="reply", delta=delta))


class Tones(tts.TTS[Any]):
    """Says each word as a tone, with the times of the words."""

    def __init__(self, *, timed: bool = True) -> None:
        super().__init__(
            capabilities=tts.TTSCapabilities(streaming=True, aligned_transcript=timed),
            sample_rate=RATE,
            num_channels=1,
        )
        self.timed = timed

    def synthesize(self, text: str, **_: Any) -> tts.ChunkedStream:
        raise NotImplementedError("it streams")

    def stream(
        self, *, conn_options: APIConnectOptions = DEFAULT_API_CONNECT_OPTIONS
    ) -> tts.SynthesizeStream:
        return _Tones(tts=self, conn_options=conn_options)


class _Tones(tts.SynthesizeStream):
    async def _run(self, output_emitter: tts.AudioEmitter) -> None:
        output_emitter.initialize(
            request_id=utils.shortuuid(),
            sample_rate=RATE,
            num_channels=1,
            mime_type="audio/pcm",
            stream=True,
        )
        output_emitter.start_segment(segment_id=utils.shortuuid())
        count = 0
        async for word in self._words():
            begins, ends = count * WORD, (count + 1) * WORD
            assert isinstance(self._tts, Tones)
            if self._tts.timed:
                timed = TimedString(word, start_time=begins, end_time=ends)
                output_emitter.push_timed_transcript(timed)
            output_emitter.push(tone(count))
            count += 1
            await asyncio.sleep(0)
        output_emitter.end_segment()

    async def _words(self) -> AsyncIterator[str]:
        rest = ""
        async for text in self._input_ch:
            if isinstance(text, self._FlushSentinel):
                continue
            self._mark_started()
            rest += text
            while " " in rest:
                word, _, rest = rest.partition(" ")
                if word:
                    yield f"{word} "
        if rest.strip():
            yield rest


def tone(place: int) -> bytes:
    """The sound of the word at a place of a reply."""
    hertz = 300 + 60 * (place % 40)
    at = np.arange(round(WORD * RATE)) / RATE
    samples: bytes = (6000 * np.sin(2 * np.pi * hertz * at)).astype(np.int16).tobytes()
    return samples


def words_begun(pcm: bytes, *, least: float = 0.0) -> int:
    """How many words have begun in what was received, leaving out a start of `least` seconds."""
    seconds = len(pcm) / 2 / RATE - least
    return max(0, -int(-seconds // WORD))


class Answering(Agent):
    """Greets, then answers."""

    def __init__(self, greeting: str | None = None) -> None:
        super().__init__(instructions="Answer.")
        self._greeting = greeting
        self.spoken: list[list[tuple[str, float]]] = []
        """Each utterance's words with the seconds at which they begin, as their voice told."""

    async def tts_node(
        self, text: AsyncIterable[str], model_settings: ModelSettings
    ) -> AsyncIterator[rtc.AudioFrame]:
        """As any agent does it."""
        words: list[tuple[str, float]] = []
        self.spoken.append(words)
        async for frame in Agent.default.tts_node(self, text, model_settings):
            for word in frame.userdata.get(USERDATA_TIMED_TRANSCRIPT, []):
                words.append((str(word), float(word.start_time)))
            yield frame

    async def on_enter(self) -> None:
        """Says the greeting."""
        if self._greeting:
            self.session.say(self._greeting)


Show = Callable[[Any], None]
