"""A bare AgentSession over the same providers, to compare with."""

import asyncio
import time
from typing import Any

import numpy as np
from livekit import rtc
from livekit.agents import Agent, AgentSession, inference, utils
from livekit.agents.voice import io
from livekit.plugins import openai

from medbot import conformance

RATE, STEP = 16_000, 0.06
"""What a caller sends: samples a second, seconds of a message."""
SILENCE_DURATION, ENDPOINTING = 0.3, 0.4
QUIET = bytes(round(RATE * STEP) * 2)


def question() -> bytes:
    """A spoken question."""
    return with_last_sound(conformance.question(None))


def with_last_sound(pcm: bytes) -> bytes:
    """Speech that ends with its last sound, in whole steps from its start."""
    samples = np.frombuffer(pcm, dtype=np.int16)
    loud = np.flatnonzero(np.abs(samples) > 500)
    spoken = samples[: loud[-1]].tobytes()
    return bytes(-len(spoken) % len(QUIET)) + spoken


class _In(io.AudioInput):
    def __init__(self) -> None:
        super().__init__(label="bench")
        self.queue = utils.aio.Chan[rtc.AudioFrame]()

    async def __anext__(self) -> rtc.AudioFrame:
        return await self.queue.__anext__()


class _Out(io.AudioOutput):
    """Plays nothing: a reply is over when it was given whole."""

    def __init__(self) -> None:
        super().__init__(
            label="bench", sample_rate=24_000, capabilities=io.AudioOutputCapabilities(pause=False)
        )
        self.first, self.given = asyncio.Event(), 0.0

    async def capture_frame(self, frame: rtc.AudioFrame) -> None:
        await super().capture_frame(frame)
        if self.given == 0.0:
            self.on_playback_started(created_at=time.time())
        self.given += frame.duration
        self.first.set()

    def flush(self) -> None:
        super().flush()
        if self.given:
            done, self.given = self.given, 0.0
            self.on_playback_finished(playback_position=done, interrupted=False)

    def clear_buffer(self) -> None:
        self.flush()


async def bare_turns(providers: str, spoken: bytes, turns: int) -> list[float]:
    """Seconds from the end of speech to the first frame, of each turn."""
    taken: list[float] = []
    asked: dict[str, Any] = {"base_url": providers, "api_key": "sk-test"}
    async with utils.http_context.open():
        session: AgentSession[None] = AgentSession(
            stt=openai.STT(**asked, model="gpt-4o-mini-transcribe"),
            llm=openai.LLM(**asked, model="gpt-4.1-mini"),
            tts=openai.TTS(**asked, model="gpt-4o-mini-tts", response_format="pcm"),
            vad=inference.VAD(min_silence_duration=SILENCE_DURATION),
            turn_handling={
                "turn_detection": "vad",
                "endpointing": {"min_delay": ENDPOINTING, "max_delay": 2.5},
                "interruption": {"mode": "vad"},
                "preemptive_generation": {"enabled": False},
            },
            aec_warmup_duration=None,
        )
        ears, mouth = _In(), _Out()
        session.input.audio, session.output.audio = ears, mouth
        await session.start(Agent(instructions="Answer."), record=False)
        microphone = asyncio.create_task(_speak(ears, spoken, turns, mouth, taken))
        await microphone
        ears.queue.close()
        await session.aclose()
    return taken


async def _speak(ears: _In, spoken: bytes, turns: int, mouth: _Out, taken: list[float]) -> None:
    due = time.perf_counter()
    for _ in range(turns):
        for piece in [QUIET] * 25 + [
            spoken[at : at + len(QUIET)] for at in range(0, len(spoken), len(QUIET))
        ]:
            ears.queue.send_nowait(rtc.AudioFrame(piece, RATE, 1, len(piece) // 2))
            due += STEP
            await asyncio.sleep(max(0.0, due - time.perf_counter()))
        mouth.first.clear()
        ended = time.perf_counter()
        while not mouth.first.is_set():
            ears.queue.send_nowait(rtc.AudioFrame(QUIET, RATE, 1, len(QUIET) // 2))
            due += STEP
            waiting = max(0.0, due - time.perf_counter())
            try:
                await asyncio.wait_for(mouth.first.wait(), waiting)
            except TimeoutError:
                continue
        taken.append(time.perf_counter() - ended)
