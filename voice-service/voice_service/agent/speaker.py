"""The agent as livekit sees it: its nodes call the conversation, and words become sound here."""

from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Callable
from typing import Any, Protocol

from livekit import rtc
from livekit.agents import Agent, ModelSettings, llm, tts
from livekit.agents.llm import ChatContext, ChatMessage
from livekit.agents.types import (
    DEFAULT_API_CONNECT_OPTIONS,
    USERDATA_TIMED_TRANSCRIPT,
    APIConnectOptions,
    TimedString,
)

from voice_service.agent import wording
from voice_service.agent.parts import Sound, Voiced
from voice_service.agent.voices import Speech

SAMPLE_RATE = 24_000

Meter = Callable[[], Callable[[float], None]]
"""Begins with an utterance whose sound is made; answers what to tell the seconds of it."""


class Host(Protocol):
    """Whose agent it is."""

    async def turn_completed(self, message: ChatMessage) -> None:
        """The caller's turn is over; raises StopResponse when there is nothing to answer."""

    def reply(self, text: str) -> AsyncGenerator[str]:
        """The words of the answer."""


class Speaker(Agent):
    """Speaks the host's replies."""

    def __init__(self, host: Host, speech: Speech, meter: Meter) -> None:
        super().__init__(instructions="")
        self._host, self._speech, self._meter = host, speech, meter

    async def on_user_turn_completed(self, turn_ctx: ChatContext, new_message: ChatMessage) -> None:
        """Hands the caller's turn to the host."""
        await self._host.turn_completed(new_message)

    async def llm_node(
        self, chat_ctx: ChatContext, tools: list[Any], model_settings: ModelSettings
    ) -> AsyncGenerator[str]:
        """The host's reply to the last thing that the caller said."""
        asked = next((m for m in reversed(chat_ctx.messages()) if m.role == "user"), None)
        async for word in self._host.reply((asked.text_content if asked else None) or ""):
            yield word

    async def tts_node(
        self, text: AsyncIterable[str], model_settings: ModelSettings
    ) -> AsyncGenerator[rtc.AudioFrame]:
        """Sound for words, sentence by sentence; `Voiced` words bring their own."""
        mouth, made = _Mouth(self._speech), self._meter()
        async for piece in _pieces(text):
            sound = mouth.play(piece) if isinstance(piece, Sound) else mouth.say(piece)
            async for frame in sound:
                made(frame.duration)
                yield frame


async def _pieces(text: AsyncIterable[str]) -> AsyncIterator[str | Sound]:
    """Whole sentences that need a voice, and sounds, in order."""
    sentences = wording.Sentences()
    playing: Sound | None = None
    async for chunk in text:
        if not isinstance(chunk, Voiced):
            for sentence in sentences.feed(chunk):
                yield sentence
        elif chunk.sound is not playing:
            playing = chunk.sound
            for sentence in sentences.end():
                yield sentence
            yield playing
    for sentence in sentences.end():
        yield sentence


class _Mouth:
    """One utterance, and how long it is so far; each frame carries the words that begin in it."""

    def __init__(self, speech: Speech) -> None:
        self._speech = speech
        self._length = 0.0

    async def say(self, sentence: str) -> AsyncIterator[rtc.AudioFrame]:
        start = self._length
        async for frame in self._speech.say(sentence):
            if words := frame.userdata.get(USERDATA_TIMED_TRANSCRIPT):
                frame.userdata[USERDATA_TIMED_TRANSCRIPT] = [_later(w, start) for w in words]
            self._length += frame.duration
            yield frame

    async def play(self, sound: Sound) -> AsyncIterator[rtc.AudioFrame]:
        start: float | None = self._length
        while (frame := await sound.frames.get()) is not None:
            words, sound.words = sound.words, []
            if words:
                frame.userdata[USERDATA_TIMED_TRANSCRIPT] = _begin(words, start)
                start = None
            self._length += frame.duration
            yield frame
        if sound.words:
            frame = rtc.AudioFrame.create(SAMPLE_RATE, 1, SAMPLE_RATE // 100)
            frame.userdata[USERDATA_TIMED_TRANSCRIPT] = _begin(sound.words, start)
            sound.words = []
            self._length += frame.duration
            yield frame


def _later(word: str, start: float) -> TimedString:
    begins, ends = getattr(word, "start_time", None), getattr(word, "end_time", None)
    made = TimedString(str(word))
    if isinstance(begins, int | float):
        made.start_time = start + begins
    if isinstance(ends, int | float):
        made.end_time = start + ends
    return made


def _begin(words: list[str], start: float | None) -> list[TimedString]:
    """Words of which the first begins at `start`, where that is known."""
    made = [TimedString(word) for word in words]
    if start is not None:
        made[0].start_time = start
    return made


class Replying(llm.LLM[Any]):
    """Tells the session that replies are made; they come from the agent's own node."""

    def chat(self, **_: Any) -> llm.LLMStream:
        raise NotImplementedError("replies come from the agent's node")


class Sounding(tts.TTS[Any]):
    """Tells the session that words are spoken; sound comes from the agent's own node."""

    def __init__(self) -> None:
        super().__init__(
            capabilities=tts.TTSCapabilities(streaming=False, aligned_transcript=True),
            sample_rate=SAMPLE_RATE,
            num_channels=1,
        )

    def synthesize(
        self, text: str, *, conn_options: APIConnectOptions = DEFAULT_API_CONNECT_OPTIONS
    ) -> tts.ChunkedStream:
        raise NotImplementedError("sound comes from the agent's node")
