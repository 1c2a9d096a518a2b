"""A caller of one spoken session, without any transport: recorded speech in, what is played out."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any
from uuid import uuid4

import numpy as np
import voice_parts
from calling import speech
from livekit import rtc
from livekit.agents import (
    APIConnectionError,
    APIConnectOptions,
    LanguageCode,
    stt,
    tts,
    utils,
)
from livekit.agents.types import DEFAULT_API_CONNECT_OPTIONS
from livekit.agents.voice import io

from contracts.voice import Changes, Heartbeat, Pipeline, Plan, SpokenTurn
from voice_service.agent.ports import Shown, Transcript, Transport
from voice_service.agent.resources import Resources
from voice_service.agent.supervisor import Supervisor
from voice_service.sockets.playout import PacedOutput, SpokenText

RATE = 16_000
STEP = 0.02
SOUND = 200.0
"""How loud a played moment must be to count as heard."""


class Desk:
    """The voice service's end of a session: keeps what it is told, tells what it is given."""

    def __init__(self) -> None:
        self.turns: list[SpokenTurn] = []
        self.open: list[SpokenTurn] = []
        """What it was told of turns that were not over."""
        self.beats: list[Heartbeat] = []
        self.cursors: list[str] = []
        """Where it was asked for changes from."""
        self.news: asyncio.Queue[Changes] = asyncio.Queue()

    async def record(self, turn: SpokenTurn) -> None:
        (self.open if turn.open else self.turns).append(turn)

    async def beat(self, beat: Heartbeat) -> None:
        self.beats.append(beat)

    async def changes(self, cursor: str) -> Changes:
        self.cursors.append(cursor)
        return await self.news.get()

    def said(self, role: str | None = None) -> list[str]:
        return [turn.text for turn in self.turns if role in (None, turn.role)]


class Line(io.AudioInput):
    """The caller's microphone: silence but for what is said, in real time."""

    def __init__(self) -> None:
        super().__init__(label="caller")
        self._waiting = bytearray()
        self._next = time.monotonic()
        self._noise = np.random.default_rng(5)
        self.ended_at = 0.0
        self._hung_up = False

    def hang_up(self) -> None:
        """No more sound comes, not even silence."""
        self._hung_up = True

    def say(self, pcm: bytes) -> None:
        self._waiting += pcm

    async def __anext__(self) -> rtc.AudioFrame:
        if self._hung_up:
            raise StopAsyncIteration
        self._next += STEP
        await asyncio.sleep(max(0.0, self._next - time.monotonic()))
        size = round(RATE * STEP) * 2
        had = bool(self._waiting)
        pcm = bytes(self._waiting[:size])
        del self._waiting[:size]
        if had and not self._waiting:
            self.ended_at = time.monotonic()
        floor = self._noise.integers(-20, 20, size // 2).astype(np.int16)
        samples = floor + np.frombuffer(pcm.ljust(size, b"\0"), dtype=np.int16)
        return rtc.AudioFrame(samples.astype(np.int16).tobytes(), RATE, 1, size // 2)

    @property
    def speaking(self) -> bool:
        return bool(self._waiting)


class Ear:
    """What plays at the caller's end: the sound with the seconds at which it is heard."""

    obeys = True
    held = 0.0

    def __init__(self) -> None:
        self.played: list[tuple[float, bytes]] = []
        self.replies: list[bytes] = []
        self.sentences: list[str] = []
        self.paused: list[float] = []
        self.resumed: list[float] = []

    def begin(self) -> None:
        self.replies.append(b"")

    def play(self, pcm: bytes) -> None:
        self.played.append((time.monotonic(), pcm))
        self.replies[-1] += pcm

    def say(self, sentence: str) -> None:
        self.sentences.append(sentence)

    def pause(self) -> None:
        self.paused.append(time.monotonic())

    def resume(self) -> None:
        self.resumed.append(time.monotonic())

    def drain(self) -> None:
        """Nothing: what was given is played."""

    def end(self, *, interrupted: bool) -> None:
        """Nothing: what was given is played."""

    def heard_after(self, moment: float) -> float | None:
        """Seconds from `moment` to the first sound."""
        for at, pcm in self.played:
            if at >= moment and _loud(pcm):
                return at - moment
        return None

    def longest_silence(self, since: float, until: float) -> float:
        """Seconds, between two moments."""
        heard = [at for at, pcm in self.played if since <= at <= until and _loud(pcm)]
        marks = [since, *heard, until]
        return max(b - a for a, b in pairwise(marks))


@dataclass
class Conversation:
    """One running session, its caller and what was shown of it."""

    supervisor: Supervisor
    line: Line
    ear: Ear
    desk: Desk
    output: PacedOutput
    shown: list[Shown] = field(default_factory=list)
    moments: list[float] = field(default_factory=list)
    """When each was shown."""
    there: asyncio.Event = field(default_factory=asyncio.Event)
    """Whether the caller is."""

    async def away(self, seconds: float) -> None:
        """The caller's connection is lost for so long."""
        self.there.clear()
        self.output.hold()
        await asyncio.sleep(seconds)
        self.there.set()
        self.output.release()

    def shown_at(self, role: str) -> list[float]:
        """When words of one side were shown."""
        pairs = zip(self.shown, self.moments, strict=True)
        return [at for s, at in pairs if isinstance(s, Transcript) and s.role == role]

    async def say(self, words: str, voice: str = "slt") -> float:
        """Speaks, and answers when it ended."""
        self.line.say(await asyncio.to_thread(speech, words, voice))
        while self.line.speaking:
            await asyncio.sleep(0.01)
        return self.line.ended_at

    async def until(self, holds: Callable[[], Any], within: float = 15.0) -> Any:
        """What `holds` answers once that is true."""
        async with asyncio.timeout(within):
            while not (found := holds()):
                await asyncio.sleep(0.02)
        return found

    async def turns(self, count: int, within: float = 15.0) -> list[SpokenTurn]:
        """The first turns that were recorded, once there are so many."""
        await self.until(lambda: len(self.desk.turns) >= count, within)
        return self.desk.turns

    async def speaking(self, within: float = 10.0) -> None:
        """Waits until the agent is heard."""
        count = len(self.ear.played)
        await self.until(lambda: len(self.ear.played) > count, within)

    async def rest(self, seconds: float) -> None:
        """Says nothing for a while."""
        await asyncio.sleep(seconds)

    async def quiet(self, seconds: float = 0.7, within: float = 20.0) -> None:
        """Waits until nothing was heard for a while."""
        async with asyncio.timeout(within):
            while (
                self.ear.played and time.monotonic() - self.ear.played[-1][0] < seconds
            ) or self.line.speaking:
                await asyncio.sleep(0.05)

    def transcripts(self, role: str, *, final: bool = True) -> list[Transcript]:
        """What was shown of one side."""
        return [
            s for s in self.shown
            if isinstance(s, Transcript) and s.role == role and s.final == final
        ]  # fmt: skip


class Local:
    """Offline voice for tests of everything around it: scripted hearing, tones for words."""

    ready = True

    def __init__(self, hears: Sequence[str] = ()) -> None:
        self.hears = list(hears)
        self.sure: list[float] = []
        """How sure it is of each hearing in turn; then .9."""
        self.tells: list[dict[str, Any]] = []
        """What it tells of each hearing in turn beside the words; then nothing."""
        self.takes: list[float] = []
        """Seconds that it takes to find the words of each hearing in turn; then none. One that
        takes a while shows none of them before."""
        self.ponders = 0.0
        """Seconds that it takes to be sure of the words of any hearing, which it shows before."""
        self.full = False
        """Whether as many callers are heard as can be: then it refuses to hear."""
        self.said: list[str] = []

    def stt(self) -> stt.STT[Any]:
        return _Hearing(self)

    def tts(self, voice: str | None = None) -> tts.TTS[Any]:
        return _Tones(self.said)


class _Hearing(stt.STT[Any]):
    """Hears the next line in whatever it is given."""

    def __init__(self, local: Local) -> None:
        super().__init__(capabilities=stt.STTCapabilities(streaming=True, interim_results=True))
        self.local = local

    async def _recognize_impl(self, *_: Any, **__: Any) -> stt.SpeechEvent:
        raise NotImplementedError("it streams")

    def stream(
        self, *, conn_options: APIConnectOptions = DEFAULT_API_CONNECT_OPTIONS, **_: Any
    ) -> stt.RecognizeStream:
        return _Stream(self, conn_options)


class _Stream(stt.RecognizeStream):
    def __init__(self, hearing: _Hearing, conn_options: APIConnectOptions) -> None:
        super().__init__(stt=hearing, conn_options=conn_options)
        self._local = hearing.local
        self._lines, self._sure = hearing.local.hears, hearing.local.sure
        self._tells = hearing.local.tells
        self._takes = hearing.local.takes

    async def _run(self) -> None:
        if self._local.full:
            raise APIConnectionError("8 callers are being heard")
        seconds, shown = 0.0, 0
        takes = self._takes.pop(0) if self._takes else 0.0
        words = self._lines[0].split() if self._lines and not takes else []
        async for frame in self._input_ch:
            if isinstance(frame, self._FlushSentinel):
                continue
            seconds += frame.duration
            if (count := int((seconds - 0.5) / 0.3)) > shown and words:
                shown = count
                self._tell(stt.SpeechEventType.INTERIM_TRANSCRIPT, " ".join(words[:count]))
        await asyncio.sleep(takes + self._local.ponders)
        if self._lines:
            sure = self._sure.pop(0) if self._sure else 0.9
            about = self._tells.pop(0) if self._tells else None
            self._tell(stt.SpeechEventType.FINAL_TRANSCRIPT, self._lines.pop(0), sure, about)

    def _tell(
        self,
        kind: stt.SpeechEventType,
        text: str,
        sure: float = 0.9,
        about: dict[str, Any] | None = None,
    ) -> None:
        data = stt.SpeechData(
            language=LanguageCode("en"), text=text, confidence=sure, metadata=about
        )
        self._event_ch.send_nowait(stt.SpeechEvent(type=kind, alternatives=[data]))


class _Tones(tts.TTS[Any]):
    def __init__(self, said: list[str]) -> None:
        super().__init__(
            capabilities=tts.TTSCapabilities(streaming=False),
            sample_rate=voice_parts.RATE,
            num_channels=1,
        )
        self.said = said

    def synthesize(
        self, text: str, *, conn_options: APIConnectOptions = DEFAULT_API_CONNECT_OPTIONS
    ) -> tts.ChunkedStream:
        self.said.append(text)
        return _Chunks(tts=self, input_text=text, conn_options=conn_options)


class _Chunks(tts.ChunkedStream):
    async def _run(self, output_emitter: tts.AudioEmitter) -> None:
        output_emitter.initialize(
            request_id=utils.shortuuid(),
            sample_rate=voice_parts.RATE,
            num_channels=1,
            mime_type="audio/pcm",
        )
        for place, _ in enumerate(self.input_text.split()):
            output_emitter.push(voice_parts.tone(place))
        output_emitter.flush()


def plan(pipeline: Pipeline, **changed: Any) -> Plan:
    """A session of half an hour in a conversation that was greeted."""
    fields: dict[str, Any] = {
        "session_id": uuid4(), "conversation_id": uuid4(), "owner_id": uuid4(),
        "channel": "websocket", "pipeline": pipeline, "greeted": True,
        "ends_at": datetime.now(UTC) + timedelta(minutes=30), **changed,
    }  # fmt: skip
    return Plan.model_validate(fields)


@asynccontextmanager
async def conversation(
    resources: Resources,
    wanted: Plan,
    desk: Desk | None = None,
    *,
    records_within: float = 20.0,
    starts: bool = True,
) -> AsyncIterator[Conversation]:
    """A session that was started, unless the test `starts` it, and is ended."""
    line, ear, desk = Line(), Ear(), desk or Desk()
    shown: list[Shown] = []
    moments: list[float] = []

    def show(what: Shown) -> None:
        shown.append(what)
        moments.append(time.monotonic())

    output, there = PacedOutput(ear), asyncio.Event()
    there.set()
    supervisor = Supervisor(
        wanted,
        desk,
        Transport(
            audio_in=line,
            audio_out=output,
            text_out=SpokenText(output, ear),
            heard=output.heard,
            attended=there.is_set,
            records_within=records_within,
        ),
        resources,
        show=show,
    )
    if starts:
        await supervisor.start()
    try:
        yield Conversation(supervisor, line, ear, desk, output, shown, moments, there)
    finally:
        await supervisor.end("asked")
        output.close()


def _loud(pcm: bytes) -> bool:
    samples = np.frombuffer(pcm, dtype=np.int16).astype(np.float64)
    return bool(samples.size) and float(np.sqrt((samples**2).mean())) > SOUND
