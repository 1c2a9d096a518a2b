"""The agent's utterances: said, protected where they must be, and recorded as they were heard."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import asdict
from datetime import UTC, datetime
from functools import partial

from livekit import rtc
from livekit.agents import AgentSession
from livekit.agents.llm import ChatMessage
from livekit.agents.types import NOT_GIVEN
from livekit.agents.voice import AgentStateChangedEvent, SpeechCreatedEvent, SpeechHandle
from livekit.agents.voice.io import PlaybackFinishedEvent

from assistant.turns import Citation, Turn
from contracts.voice import Latency
from voice_service.agent import wording
from voice_service.agent.ledger import Ledger, Said
from voice_service.agent.parts import Sound, Spent
from voice_service.agent.pipelines import Pipes

STUCK_AFTER = 2.0
"""Seconds of silence; each part of a pipeline has failed by then, and another has gone on."""


class Utterances:
    """One session's. Times are seconds since 1970, but for `stirred`."""

    def __init__(self, *, ledger: Ledger, pipes: Pipes) -> None:
        self._ledger = ledger
        self._answers, self._quick, self._rhythm = pipes.answers, pipes.quick, pipes.rhythm
        self._session: AgentSession[None] | None = None
        self._heard: Callable[[], str] = str
        self._in_room = False
        self._live: dict[str, SpeechHandle] = {}
        self._made: dict[str, float] = {}
        """Seconds of sound that were made of each that is live."""
        self._open: dict[str, Said] = {}
        self._known: dict[str, Known] = {}
        self._latest: SpeechHandle | None = None
        self._showing: Said | None = None
        """What a room is being shown."""
        self._over: datetime | None = None
        """When that was over, once it is."""
        self._position = self._stopped = 0.0
        self.unprotected = asyncio.Event()
        self.unprotected.set()
        self.asked, self.end_delay = 0.0, 0.0
        """When the caller stopped speaking, and the seconds until the turn was committed."""
        self.stirred = time.monotonic()
        """When somebody last made a sound, on the monotonic clock."""
        self.owed = ""
        """Advice that the caller has yet to hear: replies begin with it until one was heard."""

    def attach(
        self, session: AgentSession[None], heard: Callable[[], str], *, in_room: bool = False
    ) -> None:
        """The session that speaks; before it starts. `heard` tells what was heard so far of what
        is being said; `in_room` each word is `shown` as well, and then that it is `all_shown`."""
        self._session, self._heard, self._in_room = session, heard, in_room
        session.on("speech_created", self._created)
        session.on("agent_state_changed", self._state_changed)

    def watch_output(self) -> None:
        """Follows the output, once the session has it."""
        assert self._session is not None
        if (output := self._session.output.audio) is not None:
            output.on("playback_finished", self._played)

    @property
    def speaking(self) -> bool:
        """Whether the agent is heard."""
        return self._session is not None and self._session.agent_state == "speaking"

    @property
    def live(self) -> bool:
        """Whether something is said, or about to be."""
        return bool(self._live)

    def say(
        self,
        text: str,
        *,
        audio: Sound | None = None,
        protected: bool = False,
        remember: bool = True,
    ) -> SpeechHandle:
        """Says a sentence of its own; a protected one is not barged over, and is said quickly.

        One that is not to be remembered only passes the time, and is no turn.
        """
        assert self._session is not None
        sound = self._frames(audio) if audio is not None else self._quickly(text)
        handle = self._session.say(
            str(text),
            audio=sound if protected else NOT_GIVEN,
            allow_interruptions=not protected,
            add_to_chat_ctx=remember,
        )
        self._known.setdefault(handle.id, Known()).remembered = remember
        if protected:
            self.unprotected.clear()
            handle.add_done_callback(self._protected_done)
        return handle

    def note_heard(self) -> None:
        """Notes how much was heard so far of what is being said."""
        handle = self._session.current_speech if self._session is not None else None
        said = self._open.get(handle.id) if handle is not None else None
        if said is not None and (heard := self._heard().strip()):
            said.text = heard

    def shown(self, word: str) -> None:
        """A room is shown a word of what is being said, which has its place from the first one."""
        said = self._showing
        if said is None:
            return
        if not said.shown:
            self._ledger.begin(said)
        said.shown += word

    def all_shown(self) -> None:
        """The room is shown no more of what was being said, which is recorded once it is over."""
        said, over = self._showing, self._over
        self._showing = self._over = None
        if said is not None and over is not None:
            self._record(said, over)

    @property
    def stuck(self) -> bool:
        """Whether it speaks, and nothing was given to be heard for longer than anything takes."""
        return self.speaking and self._rhythm.silent_for() >= STUCK_AFTER

    def went_on(self, seconds: float) -> None:
        """Nobody was there to hear for so long; what was being said waited, and goes on."""
        if self.speaking:
            self._rhythm.paused(seconds)

    def unstick(self) -> None:
        """Gives up what is being said, whatever it is."""
        for handle in [*self._live.values()]:
            if not handle.interrupted:
                handle.interrupt(force=True)

    def interrupt(self) -> None:
        """Cuts off all that is not protected."""
        for handle in [*self._live.values()]:
            if handle.allow_interruptions and not handle.interrupted:
                handle.interrupt()

    def of_reply(self) -> "Known":
        """What becomes known of the reply that is being made."""
        if self._latest is None:
            return Known()
        return self._known.setdefault(self._latest.id, Known())

    def meter(self) -> Callable[[float], None]:
        """See `speaker.Meter`: for what is said now, or for the latest reply where that is
        protected or cut off, since a reply's sound is made while it waits."""
        said = self._session.current_speech if self._session is not None else None
        own = said is not None and said.allow_interruptions and not said.interrupted
        return partial(self._sound, said if own else self._latest)

    async def _quickly(self, text: str) -> AsyncIterator[rtc.AudioFrame]:
        for sentence in wording.sentences(text):
            async for frame in self._quick.say(sentence):
                self._protected_sound(frame)
                yield frame

    async def _frames(self, sound: Sound) -> AsyncIterator[rtc.AudioFrame]:
        while (frame := await sound.frames.get()) is not None:
            self._protected_sound(frame)
            yield frame

    def _protected_sound(self, frame: rtc.AudioFrame) -> None:
        """It is made only once nothing else is said."""
        assert self._session is not None
        self._sound(self._session.current_speech, frame.duration)

    def _sound(self, handle: SpeechHandle | None, seconds: float) -> None:
        self._rhythm.sound(seconds)
        if handle is not None and handle.id in self._live:
            self._made[handle.id] = self._made.get(handle.id, 0.0) + seconds

    def _protected_done(self, handle: SpeechHandle) -> None:
        self._live.pop(handle.id, None)
        if all(each.allow_interruptions for each in self._live.values()):
            self.unprotected.set()

    def _created(self, event: SpeechCreatedEvent) -> None:
        handle = event.speech_handle
        self._live[handle.id] = handle
        if event.source == "generate_reply":
            self._latest = handle
        self._known.setdefault(handle.id, Known()).asked = self.asked
        handle.add_done_callback(self._done)

    def _state_changed(self, event: AgentStateChangedEvent) -> None:
        if self._session is None:
            return
        if event.old_state == "speaking":
            self._stopped = time.monotonic()
        if event.new_state != "speaking":
            return
        self.stirred = time.monotonic()
        handle = self._session.current_speech
        if handle is not None and handle.id in self._open:
            self._rhythm.paused(time.monotonic() - self._stopped)
        elif handle is not None:
            self._rhythm.begins(self._made.get(handle.id, 0.0))
            self._begin(handle)

    def _begin(self, handle: SpeechHandle) -> None:
        known = self._known.get(handle.id)
        if known is not None and known.remembered:
            said = self._open[handle.id] = Said("assistant", datetime.now(UTC))
            if self._in_room:
                self.all_shown()
                self._showing = said
            else:
                self._ledger.begin(said)

    def _played(self, event: PlaybackFinishedEvent) -> None:
        self._position, self.stirred = event.playback_position, time.monotonic()

    def _done(self, handle: SpeechHandle) -> None:
        """An utterance is over: what was heard of it is recorded, once a room was shown all of
        it, whose last words may still be on their way there."""
        self._live.pop(handle.id, None)
        self._made.pop(handle.id, None)
        self._rhythm.stopped(sum(self._made.values()))
        self.stirred = time.monotonic()
        known, said = self._known.pop(handle.id, Known()), self._open.pop(handle.id, None)
        if said is None:
            return
        items = [item for item in handle.chat_items if isinstance(item, ChatMessage)]
        heard = [item for item in items if item.role == "assistant"]
        said.text = " ".join((item.text_content or "").strip() for item in heard).strip()
        said.interrupted = handle.interrupted
        if known.advice and (not said.interrupted or _holds(said.text, known.advice)):
            self.owed = "" if self.owed == known.advice else self.owed
        said.citations, said.usage = known.citations, known.usage
        said.latency = known.latency(said.started_at, self.end_delay)
        if said is self._showing:
            self._over = datetime.now(UTC)
        else:
            self._record(said, datetime.now(UTC))

    def _record(self, said: Said, over: datetime) -> None:
        if self._in_room and not said.shown:
            self._ledger.begin(said)
        if said.interrupted and said.shown.strip().startswith(said.text):
            said.text = said.shown.strip()  # the word that was cut was shown
        if said.text:
            seconds = self._position if said.interrupted else None
            self._answers.note(Turn("assistant", said.text), seconds=seconds)
        self._ledger.settle(said, over)


class Known:
    """What is known of an utterance beside its words."""

    def __init__(self) -> None:
        self.remembered = True
        self.advice = ""
        """What of its words was owed to the caller."""
        self.asked = 0.0
        self.first_text: float | None = None
        self.citations: list[dict[str, object]] = []
        self.usage: list[dict[str, object]] = []

    def note(self, word: str | Citation | Spent) -> str | None:
        """Keeps what is not said; answers what is."""
        match word:
            case Citation():
                self.citations.append(asdict(word))
            case Spent(usage):
                self.usage.append(usage)
            case _:
                self.first_text = self.first_text or time.time()
                return word
        return None

    def latency(self, started: datetime, end_of_turn: float) -> Latency:
        """From the end of the caller's speech; empty where nobody had asked."""
        if not self.asked or self.first_text is None:
            return Latency()
        return Latency(
            end_of_turn_ms=round(end_of_turn * 1000, 1),
            first_text_ms=max(0.0, round((self.first_text - self.asked) * 1000, 1)),
            first_audio_ms=max(0.0, round((started.timestamp() - self.asked) * 1000, 1)),
        )


def _holds(said: str, advice: str) -> bool:
    """Whether the words of a piece of advice are among those that were heard, spacing apart."""
    return " ".join(advice.split()) in " ".join(said.split())
