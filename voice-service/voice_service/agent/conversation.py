"""What is said in a session: the caller's words through the gate, the agent's words as heard."""

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator
from dataclasses import asdict
from datetime import UTC, datetime

import structlog
from livekit import rtc
from livekit.agents import AgentSession, StopResponse
from livekit.agents.llm import ChatMessage
from livekit.agents.types import NOT_GIVEN
from livekit.agents.voice import AgentStateChangedEvent, SpeechCreatedEvent, SpeechHandle
from livekit.agents.voice.io import PlaybackFinishedEvent
from livekit.agents.voice.turn import EndpointingOptions

from assistant.safety import Assessment, Level
from assistant.turns import Citation, Turn
from contracts.voice import Latency, SpokenTurn
from voice_service.agent import gate, listening, phrases, wording
from voice_service.agent.hearing import Stretch
from voice_service.agent.ledger import Ledger, Said
from voice_service.agent.parts import Heard, Question, Sound, Spent
from voice_service.agent.pipelines import Pipes
from voice_service.agent.ports import Audience, Interrupted, SpeechEnded, Transcript
from voice_service.agent.rhythm import TAKES_LONG, TOO_QUIET
from voice_service.agent.session import PATIENT

SHORT = 0.5
"""Seconds of speech below which it may be a noise."""
REMEMBERED = 40
"""Turns that an answer is given to look back on."""

_log = structlog.stdlib.get_logger(__name__)


class Conversation:
    """One session's; it is the listener of its hearing and the host of its agent."""

    def __init__(
        self,
        history: list[Turn],
        *,
        gate: gate.Gate,
        ledger: Ledger,
        pipes: Pipes,
        show: Audience,
    ) -> None:
        self.history = history
        self._gate, self._ledger, self._show = gate, ledger, show
        self._answers, self._quick = pipes.answers, pipes.quick
        self._rhythm, self._fillers = pipes.rhythm, pipes.fillers
        self._session: AgentSession[None] | None = None
        self._usual: EndpointingOptions = {}
        self._question: Question | None = None
        self._urgent: str | None = None
        self._user: Said | None = None
        self._partial = ""
        self._over_agent: dict[float, bool] = {}
        self._waiting: dict[float, asyncio.TimerHandle] = {}
        self._agent: dict[str, Said] = {}
        self._spoken: dict[str, _Spoken] = {}
        self._live: dict[str, SpeechHandle] = {}
        self._latest: SpeechHandle | None = None
        self._unprotected = asyncio.Event()
        self._unprotected.set()
        self._position = 0.0
        self._asked_again = False
        self._speech_ended = 0.0
        self.user_speaking = False
        self.stirred = time.monotonic()
        """When somebody last made a sound."""
        self.heard_since = False
        """Whether the caller said something since this was last cleared."""

    def attach(self, session: AgentSession[None], usual: EndpointingOptions) -> None:
        """The session that speaks and listens for it; before it starts."""
        self._session, self._usual = session, usual
        session.on("speech_created", self._created)
        session.on("agent_state_changed", self._state_changed)

    def watch_output(self) -> None:
        """Follows the output, once the session has it."""
        assert self._session is not None
        if (output := self._session.output.audio) is not None:
            output.on("playback_finished", self._played)

    # The caller

    def speech_began(self, stretch: Stretch) -> None:
        """Remembers whether it is over the agent's words."""
        self.user_speaking, self.stirred = True, time.monotonic()
        self._over_agent[stretch.began] = self._speaking()

    def speech_ended(self, stretch: Stretch) -> None:
        """Says something when the words take too long to be found."""
        self.user_speaking, self.stirred = False, time.monotonic()
        self._speech_ended = stretch.ended
        self._rhythm.caller(time.time() - stretch.ended)
        if stretch.ended - stretch.began >= SHORT and not self._over_agent.get(stretch.began):
            self._fillers.restart()
            self._fill_later(stretch, TAKES_LONG - (time.time() - stretch.ended))

    def partly(self, text: str, stretch: Stretch) -> None:
        """Shows words that are coming, and passes them through the gate."""
        so_far = self._partial = self._so_far(text)
        self._show(Transcript("user", so_far, final=False, at=_at(stretch.began)))
        verdict = self._gate.partly(so_far)
        if verdict is not None:
            self._open(stretch)
            self._say_at_once(verdict)

    async def heard(self, heard: Heard, stretch: Stretch) -> bool:
        """Passes the words on once no protected speech is in their way."""
        self._found(stretch)
        over = self._over_agent.pop(stretch.began, False)
        if over and listening.backchannel(heard.text) and not self._asking():
            return False
        self._asked_again, self.heard_since = False, True
        said = self._open(stretch)
        said.text = self._so_far(heard.text)
        said.ended_at = None
        self._show(Transcript("user", said.text, final=False, at=_at(stretch.began)))
        self._say_at_once(self._gate.whole(said.text))
        if self._session is not None:
            middle = listening.in_the_middle(heard.text, self._last_said())
            self._session.update_options(endpointing_opts=PATIENT if middle else self._usual)
        await self._unprotected.wait()
        return True

    def unheard(self, stretch: Stretch) -> None:
        """Asks again after a longer stretch without words, once."""
        self._found(stretch)
        over = self._over_agent.pop(stretch.began, False)
        if self._user is not None and not self._user.text and self._partial:
            user, self._user = self._user, None  # it was answered by the gate already
            user.text = self._partial
            self._ledger.settle(user, _at(stretch.ended))
            return
        long = stretch.ended - stretch.began >= 2 * SHORT
        if long and not over and not self._asked_again and self._user is None:
            self._asked_again = True
            self.say(phrases.NOT_CAUGHT)

    async def turn_completed(self, message: ChatMessage) -> None:
        """The caller's turn is over: it is recorded, and becomes the question."""
        text = (message.text_content or "").strip()
        if not text:
            raise StopResponse
        self._take(text, self._user or Said("user", _now()))

    def typed(self, text: str) -> None:
        """The caller's turn came in writing."""
        assert self._session is not None
        for handle in self._live.values():
            if handle.allow_interruptions and not handle.interrupted:
                handle.interrupt()
        said = self._user = self._ledger.begin(Said("user", _now()))
        self.heard_since, self.stirred = True, time.monotonic()
        self._speech_ended = time.time()
        self._take(text, said)
        self._session.generate_reply(user_input=text)

    def _take(self, text: str, said: Said) -> None:
        verdict = self._gate.whole(text)
        self._say_at_once(verdict)
        self._urgent = self._gate.news(verdict) if verdict.level is Level.URGENT else None
        self._question = Question(text, tuple(self.history[-REMEMBERED:]), verdict.level.value)
        self._user = None
        said.text, said.triage = text, gate.triage(verdict)
        self._ledger.settle(said, _at(max(self._speech_ended, said.started_at.timestamp())))

    def _open(self, stretch: Stretch) -> Said:
        if self._user is None:
            self._user = self._ledger.begin(Said("user", _at(stretch.began)))
        return self._user

    def _so_far(self, text: str) -> str:
        return f"{self._user.text} {text}".strip() if self._user is not None else text

    def _found(self, stretch: Stretch) -> None:
        timer = self._waiting.pop(stretch.began, None)
        if timer is not None:
            timer.cancel()

    def _fill_later(self, stretch: Stretch, seconds: float) -> None:
        loop = asyncio.get_running_loop()
        self._waiting[stretch.began] = loop.call_later(max(0.05, seconds), self._fill, stretch)

    def _fill(self, stretch: Stretch) -> None:
        if not self.user_speaking and not self._live:
            filler = self._fillers.take()
            self.say(filler, audio=filler.sound, protected=True, remember=False)
        self._fill_later(stretch, TOO_QUIET + max(0.0, -self._rhythm.silent_for()))

    # The agent

    def say(
        self,
        text: str,
        *,
        audio: Sound | None = None,
        protected: bool = False,
        remember: bool = True,
    ) -> SpeechHandle:
        """Says a sentence of its own; a protected one is not barged over, and is said quickly."""
        assert self._session is not None
        sound = self._frames(audio) if audio is not None else self._quickly(text)
        handle = self._session.say(
            str(text),
            audio=sound if protected else NOT_GIVEN,
            allow_interruptions=not protected,
            add_to_chat_ctx=remember,
        )
        if protected:
            self._unprotected.clear()
            handle.add_done_callback(self._protected_done)
        return handle

    async def reply(self, text: str) -> AsyncGenerator[str]:
        """The words of the answer; citations and usage go to the turn's record."""
        question = self._question or Question(text, tuple(self.history[-REMEMBERED:]), "none")
        spoken = self._spoken.setdefault(self._latest.id, _Spoken()) if self._latest else _Spoken()
        if self._urgent:
            yield self._urgent + " "
            self._urgent = None
        async for word in self._answers.reply(question):
            match word:
                case Citation():
                    spoken.citations.append(asdict(word))
                case Spent(usage):
                    spoken.usage.append(usage)
                case _:
                    spoken.first_text = spoken.first_text or time.time()
                    yield word

    def note(self, turn: Turn) -> None:
        """A message that came in writing from elsewhere."""
        self.history.append(turn)
        self._answers.note(turn)

    def told(self, turn: SpokenTurn) -> None:
        """A turn got its number."""
        self.history.append(Turn(turn.role, turn.text))
        self._show(Transcript(turn.role, turn.text, final=True, at=turn.ended_at, seq=turn.seq))

    def busy(self) -> bool:
        """Whether the agent speaks, or is about to."""
        return bool(self._live) or bool(self._waiting)

    def _say_at_once(self, verdict: Assessment) -> None:
        message = self._gate.news(verdict) if verdict.level in gate.AT_ONCE else None
        if message is None:
            return
        for handle in list(self._live.values()):
            if handle.allow_interruptions and not handle.interrupted:
                handle.interrupt()
        self.say(message, protected=True)

    async def _quickly(self, text: str) -> AsyncIterator[rtc.AudioFrame]:
        sentences = wording.Sentences()
        for sentence in [*sentences.feed(text + " "), *sentences.end()]:
            async for frame in self._quick.say(sentence):
                self._rhythm.sound(frame.duration)
                yield frame

    async def _frames(self, sound: Sound) -> AsyncIterator[rtc.AudioFrame]:
        while (frame := await sound.frames.get()) is not None:
            self._rhythm.sound(frame.duration)
            yield frame

    def _protected_done(self, handle: SpeechHandle) -> None:
        self._live.pop(handle.id, None)
        if all(each.allow_interruptions for each in self._live.values()):
            self._unprotected.set()

    def _created(self, event: SpeechCreatedEvent) -> None:
        handle = event.speech_handle
        self._live[handle.id] = handle
        if event.source == "generate_reply":
            self._latest = handle
        self._spoken.setdefault(handle.id, _Spoken()).asked = self._speech_ended
        handle.add_done_callback(self._done)

    def _state_changed(self, event: AgentStateChangedEvent) -> None:
        if event.new_state != "speaking" or self._session is None:
            return
        self.stirred = time.monotonic()
        handle = self._session.current_speech
        if handle is not None and handle.id not in self._agent:
            self._agent[handle.id] = self._ledger.begin(Said("assistant", _now()))

    def _played(self, event: PlaybackFinishedEvent) -> None:
        self._position, self.stirred = event.playback_position, time.monotonic()
        self._rhythm.stopped()

    def _done(self, handle: SpeechHandle) -> None:
        """An utterance is over: what was heard of it is recorded."""
        self._live.pop(handle.id, None)
        self.stirred = time.monotonic()
        spoken = self._spoken.pop(handle.id, _Spoken())
        said = self._agent.pop(handle.id, None)
        if said is None:
            return
        items = [item for item in handle.chat_items if isinstance(item, ChatMessage)]
        heard = [item for item in items if item.role == "assistant"]
        said.text = " ".join((item.text_content or "").strip() for item in heard).strip()
        said.interrupted = handle.interrupted
        said.citations, said.usage = spoken.citations, spoken.usage
        said.latency = spoken.latency(said.started_at)
        if said.text:
            seconds = self._position if handle.interrupted else None
            self._answers.note(Turn("assistant", said.text), seconds=seconds)
        self._ledger.settle(said, _now())
        if handle.interrupted:
            self._show(Interrupted(_now()))
        self._show(SpeechEnded(interrupted=handle.interrupted, at=_now()))

    def _speaking(self) -> bool:
        return self._session is not None and self._session.agent_state == "speaking"

    def _last_said(self) -> str:
        return next((t.content for t in reversed(self.history) if t.role == "assistant"), "")

    def _asking(self) -> bool:
        """Whether the agent has a question open, so that "okay" is an answer."""
        return not self._speaking() and self._last_said().rstrip().endswith("?")


class _Spoken:
    """What is known of an utterance beside its words; times are seconds since 1970."""

    def __init__(self) -> None:
        self.asked = 0.0
        self.first_text: float | None = None
        self.citations: list[dict[str, object]] = []
        self.usage: list[dict[str, object]] = []

    def latency(self, started: datetime) -> Latency:
        """From the end of the caller's speech; empty where nobody had spoken."""
        if not self.asked or self.first_text is None:
            return Latency()
        return Latency(
            first_text_ms=max(0.0, round((self.first_text - self.asked) * 1000, 1)),
            first_audio_ms=max(0.0, round((started.timestamp() - self.asked) * 1000, 1)),
        )


def _at(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


def _now() -> datetime:
    return datetime.now(UTC)
