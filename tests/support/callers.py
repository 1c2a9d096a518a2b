"""Callers of a whole Medbot over each transport: recorded speech in, sound and transcripts out."""

import asyncio
import base64
import contextlib
import time
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any, ClassVar, Literal

import av
import numpy as np
from calling import Caller, calling, decoded, mp3_of, pcm_of, resampled, speech
from conversing import Person
from livekit import rtc
from websockets.exceptions import ConnectionClosed

from voice_service.agent import phrases
from voice_service.sockets.mp3 import DELAY

SESSION = "/api/v1/voice/session"
RATE = 24_000
MICROPHONE = 48_000
STEP = 0.01
LOUD = 300.0
STATE = "lk.agent.state"
FILLED = frozenset(
    " ".join(filler.split()[:count])
    for filler in phrases.FILLERS
    for count in range(1, len(filler.split()) + 1)
)
"""What passes the time, as far as it may have been said."""
AGAIN = frozenset({phrases.NOT_CAUGHT, phrases.STILL_THERE})
"""What is said to somebody of whom no words were found, and who says them again then."""
TAKEN_WITHIN = 2.0
"""Seconds for a frame of a microphone to be taken by a room."""
SPOKEN_WITHIN = 30.0
"""Seconds beyond its length for a sentence to be spoken, on a busy machine."""
AGENT_WITHIN = 90.0
"""Seconds until an agent comes that has only just been started, on a busy machine."""

Role = Literal["user", "assistant"]


@dataclass(frozen=True)
class Line:
    """What one side said, as the client was shown it; `cut` when it was spoken over."""

    role: Role
    text: str
    cut: bool = False


@dataclass
class Sound:
    """PCM s16le 24 kHz mono with the seconds at which it came."""

    pieces: list[tuple[float, bytes]] = field(default_factory=list)

    def add(self, pcm: bytes) -> None:
        self.pieces.append((time.monotonic(), pcm))

    def since(self, moment: float) -> bytes:
        """All that came after a moment."""
        return b"".join(pcm for at, pcm in self.pieces if at >= moment)

    def heard_at(self, moment: float) -> float | None:
        """When the first sound came that is no silence, at or after `moment`."""
        return next((at for at, pcm in self.pieces if at >= moment and loud(pcm)), None)

    def until_silence(self, moment: float, seconds: float) -> bytes:
        """From the first sound after `moment` to the last before a silence of so many seconds."""
        begun = self.heard_at(moment)
        taken: list[bytes] = []
        last, count = begun or 0.0, 0
        for at, pcm in self.pieces:
            if begun is None or at < begun:
                continue
            taken.append(pcm)
            if loud(pcm):
                last, count = at, len(taken)
            if at - last >= seconds:
                break
        return b"".join(taken[:count])

    def last_heard(self) -> float:
        """When the last sound came that is no silence; 0 when none did."""
        return next((at for at, pcm in reversed(self.pieces) if loud(pcm)), 0.0)


def loud(pcm: bytes) -> bool:
    """Whether it is no silence."""
    samples = np.frombuffer(pcm[: len(pcm) // 2 * 2], dtype=np.int16).astype(np.float64)
    return bool(samples.size) and float(np.sqrt((samples**2).mean())) > LOUD


class Talker(ABC):
    """Somebody in a call. `lines` are the turns that are over, as the transport told of them."""

    channel: ClassVar[str]

    def __init__(self, conversation_id: str, session_id: str | None) -> None:
        self.conversation_id, self.session_id = conversation_id, session_id
        self.sound = Sound()
        self.lines: list[Line] = []
        self.states: list[str] = []
        self.spoke_until = 0.0
        self.begun: list[str] = []
        """What the assistant says, as it is shown while it is said."""
        self.answered_at = 0.0
        """When the first answer began, as `answering` saw it."""

    @abstractmethod
    def cut_reply(self) -> bytes:
        """What was played of the first reply after the greeting, which was spoken over."""

    @abstractmethod
    async def play(self, pcm: bytes) -> None:
        """Speaks PCM s16le 16 kHz in real time; returns when its last sample has gone."""

    @abstractmethod
    async def hang_up(self) -> None:
        """Leaves as a person does."""

    @property
    @abstractmethod
    def gone(self) -> bool:
        """Whether the far end has hung up."""

    async def say(self, words: str, voice: str = "slt") -> None:
        """Speaks words."""
        await self.play(await asyncio.to_thread(speech, words, voice))
        self.spoke_until = time.monotonic()

    def forget(self) -> None:
        """What was said until now is none of `lines` any more."""
        self.lines.clear()

    def of(self, role: Role) -> list[str]:
        """What one side said."""
        return [line.text for line in self.lines if line.role == role]

    async def until(self, holds: Callable[[], Any], within: float = 30.0) -> Any:
        """What `holds` answers once that is true."""
        try:
            async with asyncio.timeout(within):
                while not (found := holds()):
                    await asyncio.sleep(0.02)
        except TimeoutError:
            raise AssertionError(f"it did not come: {self.lines}, {self.states}") from None
        return found

    async def lines_to(self, count: int, within: float = 30.0) -> list[Line]:
        """The turns, once there are so many."""
        await self.until(lambda: len(self.lines) >= count, within)
        return self.lines

    async def hears(self, within: float = 30.0) -> float:
        """When the first sound came after what was said last."""
        heard: float = await self.until(lambda: self.sound.heard_at(self.spoke_until), within)
        return heard

    async def answering(self, within: float = 30.0) -> None:
        """Waits until an answer is heard, after what only passes the time."""
        before = len(self.begun)
        await self.until(
            lambda: any(
                text.strip() and text.strip() not in FILLED for text in self.begun[before:]
            ),
            within,
        )
        self.answered_at = self.answered_at or time.monotonic()

    async def quiet(self, seconds: float = 0.5, within: float = 60.0) -> None:
        """Waits until nothing was heard for a while."""
        async with asyncio.timeout(within):
            while time.monotonic() - self.sound.last_heard() < seconds:
                await asyncio.sleep(0.05)

    async def greeted(self) -> str:
        """The greeting, heard to its end."""
        (line,) = (await self.lines_to(1, within=60))[:1]
        assert line.role == "assistant"
        await self.quiet()
        return line.text

    async def ask(self, words: str, voice: str = "slt") -> tuple[str, str]:
        """Says something, again where it was not caught, and hears the answer to its end: what was
        heard of it, what came back."""
        before = len(self.lines)

        def new() -> list[Line]:
            return [line for line in self.lines[before:] if line.text not in FILLED]

        def answered() -> bool:
            roles = [line.role for line in new()]
            return "user" in roles and roles[-1] == "assistant"

        while not answered():
            missed = sum(line.text in AGAIN for line in self.lines)
            await self.say(words, voice)
            await self.until(partial(self._settled, answered, missed), within=45)
            await self.quiet()
        lines = new()
        return next(one.text for one in lines if one.role == "user"), lines[-1].text

    def _settled(self, answered: Callable[[], bool], missed: int) -> bool:
        return answered() or sum(line.text in AGAIN for line in self.lines) > missed


class _Microphone:
    """Near silence but for what is said, without end."""

    def __init__(self, rate: int, step: float) -> None:
        self._rate, self._size = rate, round(rate * step)
        self._step = step
        self._waiting = bytearray()
        self._noise = np.random.default_rng(3)

    async def play(self, pcm: bytes) -> None:
        self._waiting += resampled(pcm, 16_000, self._rate)
        lasts = len(self._waiting) / 2 / self._rate
        async with asyncio.timeout(lasts + SPOKEN_WITHIN):
            while self._waiting:
                await asyncio.sleep(STEP)

    async def frames(self) -> AsyncIterator[bytes]:
        due = time.monotonic()
        while True:
            pcm = bytes(self._waiting[: self._size * 2])
            del self._waiting[: self._size * 2]
            floor = self._noise.integers(-8, 8, self._size).astype(np.int16)
            samples = floor + np.frombuffer(pcm.ljust(self._size * 2, b"\0"), dtype=np.int16)
            yield samples.astype(np.int16).tobytes()
            due += self._step
            await asyncio.sleep(max(0.0, due - time.monotonic()))


class InRoom(Talker):
    """A participant of a LiveKit room."""

    channel = "voice"

    def __init__(self, made: dict[str, Any]) -> None:
        super().__init__(made["conversation_id"], made["session_id"])
        self.room = rtc.Room()
        self.interim: list[str] = []
        self._microphone = _Microphone(MICROPHONE, STEP)
        self._source = rtc.AudioSource(MICROPHONE, 1, queue_size_ms=200)
        self._tasks: set[asyncio.Task[None]] = set()
        self._over = False
        self._segments: dict[str, Line | None] = {}
        """In the order in which they were first shown; nothing for those that are not over."""
        self.room.on("track_subscribed", lambda track, *_: self._spawn(self._listen(track)))
        self.room.on("disconnected", self._disconnected)
        self.room.on("participant_attributes_changed", self._attributes)
        self.room.register_text_stream_handler("lk.transcription", self._transcript)

    async def enter(self, made: dict[str, Any]) -> None:
        """Joins with a microphone, and waits for the agent."""
        await self.room.connect(made["livekit_url"], made["token"])
        track = rtc.LocalAudioTrack.create_audio_track("microphone", self._source)
        options = rtc.TrackPublishOptions(source=rtc.TrackSource.SOURCE_MICROPHONE)
        await self.room.local_participant.publish_track(track, options)
        self._spawn(self._speak())
        await self.until(self._accompanied, AGENT_WITHIN)

    def _accompanied(self) -> bool:
        """Whether an agent is there that listens or speaks: before, nobody hears the caller."""
        marks = [each.attributes for each in self.room.remote_participants.values()]
        return any(mark.get(STATE) in {"listening", "speaking"} for mark in marks)

    async def play(self, pcm: bytes) -> None:
        await self._microphone.play(pcm)

    async def hang_up(self) -> None:
        for task in list(self._tasks):
            task.cancel()
        await self.room.disconnect()

    def forget(self) -> None:
        super().forget()
        self._segments.clear()

    def cut_reply(self) -> bytes:
        return self.sound.until_silence(self.answered_at - 0.3, seconds=0.8)

    @property
    def gone(self) -> bool:
        return self._over

    async def _speak(self) -> None:
        async for pcm in self._microphone.frames():
            frame = rtc.AudioFrame(pcm, MICROPHONE, 1, len(pcm) // 2)
            # Its library may lose the answer, and would wait for it for ever.
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(TAKEN_WITHIN):
                    await self._source.capture_frame(frame)

    async def _listen(self, track: rtc.Track) -> None:
        async for event in rtc.AudioStream(track, sample_rate=RATE, num_channels=1):
            self.sound.add(bytes(event.frame.data))

    def _transcript(self, reader: rtc.TextStreamReader, identity: str) -> None:
        segment = (reader.info.attributes or {}).get("lk.segment_id", "")
        self._segments.setdefault(segment, None)
        self._spawn(self._read(reader, identity, segment))

    async def _read(self, reader: rtc.TextStreamReader, identity: str, segment: str) -> None:
        user = identity == self.room.local_participant.identity
        text = ""
        async for piece in reader:
            text += piece
            if not user:
                self.begun.append(text)
        marks = reader.info.attributes or {}
        if marks.get("lk.transcription_final") != "true":
            self.interim.append(text)
            return
        line = Line("user" if user else "assistant", text.strip())
        if line.text:
            self._segments[segment] = line
            self.lines[:] = [each for each in self._segments.values() if each is not None]

    def _attributes(self, changed: dict[str, str], *_: Any) -> None:
        if state := changed.get(STATE):
            self.states.append(state)

    def _disconnected(self, *_: Any) -> None:
        self._over = True

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


class OnSocket(Talker):
    """A client of one of the two sockets."""

    channel = "websocket"

    def __init__(self, caller: Caller, conversation_id: str, session_id: str | None) -> None:
        super().__init__(conversation_id, session_id)
        self.caller = caller
        self._microphone = _Microphone(caller.rate, 0.02)
        self._speaking = asyncio.create_task(self._speak())
        caller.on_message = self._message
        for _, message in caller.got:
            self._message(message)

    async def play(self, pcm: bytes) -> None:
        await self._microphone.play(pcm)

    async def hang_up(self) -> None:
        self._speaking.cancel()
        await self.caller.socket.close()

    def cut(self) -> None:
        """The network is gone: no word of goodbye."""
        self._speaking.cancel()
        self.caller.socket.transport.abort()

    @property
    def gone(self) -> bool:
        return self.caller.code is not None

    async def _speak(self) -> None:
        with contextlib.suppress(OSError):
            async for pcm in self._microphone.frames():
                if self.gone:
                    return
                await self.caller.send(self.caller.wrap(base64.b64encode(pcm).decode("ascii")))

    @abstractmethod
    def _message(self, message: dict[str, Any]) -> None: ...


class OnVoice(OnSocket):
    """A client of `/ws/voice`: its replies come as MP3, its transcripts sentence by sentence."""

    def __init__(self, caller: Caller, conversation_id: str) -> None:
        self._sentences: list[str] = []
        self._mp3: list[dict[str, Any]] = []
        self._decoder = _Mp3()
        self.cut_replies: list[bytes] = []
        """What was received of replies that were cut, without the delay of the encoder."""
        super().__init__(caller, conversation_id, None)

    def _message(self, message: dict[str, Any]) -> None:
        match message["event"]:
            case "user_transcript":
                self.lines.append(Line("user", message["text"]))
            case "assistant_transcript":
                self._sentences.append(message["text"])
                self.begun.append(message["text"])
            case "audio":
                self._mp3.append(message)
                self.sound.add(self._decoder.feed(base64.b64decode(message["audio"])))
            case "audio_complete" | "interrupted":
                cut = message["event"] == "interrupted"
                if cut:
                    self.cut_replies.append(decoded(mp3_of(self._mp3))[DELAY * 2 :])
                self.lines.append(Line("assistant", " ".join(self._sentences), cut=cut))
                self._sentences, self._mp3, self._decoder = [], [], _Mp3()

    def cut_reply(self) -> bytes:
        return self.cut_replies[0]


class _Mp3:
    """Decodes one reply as it comes."""

    def __init__(self) -> None:
        codec = av.CodecContext.create("mp3", "r")
        assert isinstance(codec, av.AudioCodecContext)
        self._codec = codec

    def feed(self, data: bytes) -> bytes:
        frames = [
            frame for packet in self._codec.parse(data) for frame in self._codec.decode(packet)
        ]
        parts = [(frame.to_ndarray().ravel() * 32_767).astype(np.int16) for frame in frames]
        return b"".join(part.tobytes() for part in parts)


class _Player:
    """Plays what it has in real time, and pauses, goes on and drops as it is told."""

    def __init__(self) -> None:
        self._has = bytearray()
        self._played = 0.0
        self._since: float | None = None
        self.paused = False
        self.dropped: list[bytes] = []
        """What was played before the player had to drop the rest."""

    def tell(self, kind: str, pcm: bytes = b"") -> None:
        """One message that says what is to be done."""
        self._go_on()
        if kind == "audio":
            self._has += pcm
        elif kind == "clear":
            self.dropped.append(bytes(self._has[: round(self._played * RATE) * 2]))
            self.end()
        else:
            self.paused = kind == "pause"

    def end(self) -> None:
        """The reply is over."""
        self._has, self._played, self.paused = bytearray(), 0.0, False

    def _go_on(self) -> None:
        now = time.monotonic()
        if self._since is not None and not self.paused:
            length = len(self._has) / 2 / RATE
            self._played = min(length, self._played + now - self._since)
        self._since = now


class OnSession(OnSocket):
    """A client of the session socket."""

    def __init__(self, caller: Caller, made: dict[str, Any]) -> None:
        self._player = _Player()
        super().__init__(caller, made["conversation_id"], made["session_id"])

    def cut_reply(self) -> bytes:
        return self._player.dropped[0]

    async def hang_up(self) -> None:
        if not self.gone:
            with contextlib.suppress(ConnectionClosed):
                await self.caller.send({"type": "control", "action": "stop"})
        await super().hang_up()

    def _message(self, message: dict[str, Any]) -> None:
        match message["type"]:
            case "transcript" if message["final"]:
                self.lines.append(Line(message["role"], message["text"]))
                if message["role"] == "assistant":
                    self._player.end()
            case "transcript" if message["role"] == "assistant":
                self.begun.append(message["text"])
            case "status":
                self.states.append(message["agent_state"])
            case "audio":
                self.sound.add(pcm_of([message]))
                self._player.tell("audio", pcm_of([message]))
            case "pause" | "resume" | "clear" as told:
                self._player.tell(told)


Way = Literal["room", "voice", "session"]
WAYS: tuple[Way, ...] = ("room", "voice", "session")


def bearer(person: Person) -> dict[str, Any]:
    """How a socket is opened in somebody's name."""
    return {"additional_headers": {"authorization": person.http.headers["authorization"]}}


async def make(person: Person, **body: Any) -> dict[str, Any]:
    """A session."""
    answer = await person.http.post(SESSION, json=body)
    assert answer.status_code == 201, answer.text
    made: dict[str, Any] = answer.json()
    return made


@asynccontextmanager
async def call(
    person: Person, way: Way, conversation_id: str | None = None, pipeline: str | None = None
) -> AsyncIterator[Talker]:
    """Somebody calls, in a conversation that was begun where one is named; at the end they leave.

    `/ws/voice` takes the pipeline that is configured.
    """
    if way == "voice":
        assert pipeline is None
        async with _voice(person, conversation_id) as on_voice:
            yield on_voice
        return
    wanted = {"conversation_id": conversation_id, "pipeline": pipeline}
    made = await make(person, **{name: value for name, value in wanted.items() if value})
    entered = _room(made) if way == "room" else _session(person, made)
    async with entered as talker:
        yield talker


@asynccontextmanager
async def _voice(person: Person, conversation_id: str | None) -> AsyncIterator[Talker]:
    query = f"?conversation_id={conversation_id}" if conversation_id else ""
    url = f"{person.http.base_url}".rstrip("/").replace("http", "ws", 1)
    async with calling(f"{url}/ws/voice{query}", **bearer(person)) as caller:
        ready = await caller.wait_for("ready", within=60)
        talker = OnVoice(caller, ready["conversation_id"])
        try:
            yield talker
        finally:
            await talker.hang_up()


@asynccontextmanager
async def _session(person: Person, made: dict[str, Any]) -> AsyncIterator[Talker]:
    async with calling(made["websocket_url"], session=True, **bearer(person)) as caller:
        talker = OnSession(caller, made)
        await caller.send({"type": "control", "action": "start"})
        try:
            yield talker
        finally:
            await talker.hang_up()


@asynccontextmanager
async def _room(made: dict[str, Any]) -> AsyncIterator[Talker]:
    talker = InRoom(made)
    try:
        await talker.enter(made)
        yield talker
    finally:
        await talker.hang_up()
