"""A bare AgentSession behind the sockets: no gate, no library, no database; scripted words."""

import asyncio
import uuid
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from livekit.agents import (
    AgentSession,
    AgentStateChangedEvent,
    ConversationItemAddedEvent,
    UserInputTranscribedEvent,
    inference,
    tts,
)
from livekit.agents.llm import ChatMessage
from voice_parts import Answering, ScriptedHearing, ScriptedReplies, Tones

from contracts.voice import AgentState, EndReason, Plan
from kit.errors import InvalidToken, NotFound
from kit.identity import Actor
from voice_service.agent.ports import Audience, Closed, StateChanged, Transcript, Transport
from voice_service.sessions.models import SessionOver, SessionTaken, TooManySessions
from voice_service.sockets.desk import Found

TOKEN = "the caller's token"
STATES: dict[str, AgentState] = {
    "initializing": "initializing",
    "idle": "listening",
    "listening": "listening",
    "thinking": "thinking",
    "speaking": "speaking",
}


@dataclass
class Script:
    """What one session hears and says."""

    heard: Sequence[str] = ("what are your hours",)
    replies: Sequence[str] = ("We are open from nine to five.",)
    greeting: str | None = None
    timed: bool = True
    voice: tts.TTS[Any] | None = None
    """Who speaks, instead of tones."""


@dataclass
class Stored:
    """The turns that a session keeps: role, text, interrupted."""

    turns: list[tuple[str, str, bool]] = field(default_factory=list)
    spoken: list[list[tuple[str, float]]] = field(default_factory=list)
    """The words of each utterance with the seconds of their sound."""


class BareSession:
    """`ports.Running` over nothing but livekit's session."""

    def __init__(self, script: Script, ends: Transport, show: Audience, stored: Stored) -> None:
        self._ends, self._show, self._stored = ends, show, stored
        self._script = script
        self._closed: asyncio.Future[EndReason] = asyncio.get_running_loop().create_future()
        self.session: AgentSession[None] = AgentSession(
            stt=ScriptedHearing(script.heard),
            llm=ScriptedReplies(script.replies),
            tts=script.voice or Tones(timed=script.timed),
            vad=inference.VAD(min_silence_duration=0.25),
            turn_handling={
                "turn_detection": "vad",
                "endpointing": {"min_delay": 0.1, "max_delay": 0.5},
                "interruption": {"mode": "vad", "min_duration": 0.2},
            },
            aec_warmup_duration=None,
            use_tts_aligned_transcript=True,
        )

    async def start(self) -> None:
        """Begins to listen."""
        self.session.on("user_input_transcribed", self._heard)
        self.session.on("agent_state_changed", self._changed)
        self.session.on("conversation_item_added", self._added)
        self.session.input.audio = self._ends.audio_in
        self.session.output.audio = self._ends.audio_out
        self.session.output.transcription = self._ends.text_out
        agent = Answering(self._script.greeting)
        self._stored.spoken = agent.spoken
        await self.session.start(agent, record=False)

    async def say_typed(self, text: str) -> bool:
        """Answers it."""
        self.session.generate_reply(user_input=text)
        return True

    async def end(self, reason: EndReason) -> None:
        """Closes; once."""
        if not self._closed.done():
            self._closed.set_result(reason)
            await self.session.aclose()
            self._show(Closed(reason))

    async def closed(self) -> EndReason:
        """Waits for the end."""
        return await asyncio.shield(self._closed)

    def _heard(self, event: UserInputTranscribedEvent) -> None:
        self._show(Transcript("user", event.transcript, event.is_final, datetime.now(UTC)))

    def _changed(self, event: AgentStateChangedEvent) -> None:
        self._show(StateChanged(STATES[event.new_state]))

    def _added(self, event: ConversationItemAddedEvent) -> None:
        item = event.item
        if isinstance(item, ChatMessage) and item.role in ("user", "assistant"):
            text = (item.text_content or "").strip()
            self._stored.turns.append((item.role, text, item.interrupted))
            if item.role == "assistant":
                self._show(Transcript("assistant", text, True, datetime.now(UTC)))


class BareDesk:
    """`sockets.desk.Desk` for one person, whose token is `TOKEN`."""

    def __init__(self, scripts: Callable[[], Script] = Script, *, guests: bool = True) -> None:
        self._scripts, self._guests = scripts, guests
        self.caller = Actor.of_person(uuid.uuid4())
        self.conversation = uuid.uuid4()
        self.signed_in = True
        self.most = 100
        self.stored: dict[UUID, Stored] = {}
        self.running: dict[UUID, BareSession] = {}
        self.ended: dict[UUID, EndReason] = {}
        self.left_by: list[UUID] = []
        """Sessions whose sockets went."""
        self.elsewhere: dict[UUID, Found] = {}
        """How sessions are that do not run here."""
        self.lets_join = asyncio.Event()
        """Until it is set, whoever joins waits."""
        self.lets_join.set()
        self.fails: Exception | None = None
        """What whoever joins meets with."""

    async def admit(self, tokens: Collection[str], *, guests: bool) -> Actor:
        """Lets in who has the token, and guests."""
        if not tokens and guests and self._guests:
            return Actor(uuid.uuid4(), "guest")
        if list(tokens) != [TOKEN]:
            raise InvalidToken
        return self.caller

    async def still_in(self, caller: Actor) -> bool:
        """Until `signed_in` is false."""
        return self.signed_in

    async def open(self, caller: Actor, conversation_id: UUID | None, locale: str) -> Plan:
        """A new session."""
        if conversation_id not in (None, self.conversation):
            raise NotFound
        if len(self.running) - len(self.ended) >= self.most:
            raise TooManySessions
        return self._plan(uuid.uuid4())

    def make(self) -> UUID:
        """A session of the caller, not started."""
        session_id = uuid.uuid4()
        self.stored[session_id] = Stored()
        return session_id

    async def find(self, caller: Actor, session_id: UUID) -> Found:
        """Knows what `make` made."""
        if session_id not in self.stored or caller != self.caller:
            raise NotFound
        if session_id in self.ended:
            raise SessionOver
        return self.elsewhere.get(session_id, Found("created", "initializing"))

    async def changed(self, caller: Actor, session_id: UUID, known: Found) -> Found:
        """Looks at `elsewhere` and `ended`."""
        while True:
            await asyncio.sleep(0.02)
            now = self.elsewhere.get(session_id, Found("created", "initializing"))
            if session_id in self.ended:
                now = Found("ended", now.agent_state)
            if now != known:
                return now

    async def join(self, caller: Actor, session_id: UUID) -> Plan:
        """Its plan, unless it runs elsewhere."""
        await self.find(caller, session_id)
        await self.lets_join.wait()
        if self.fails is not None:
            raise self.fails
        if session_id in self.elsewhere:
            raise SessionTaken
        return self._plan(session_id)

    async def attended(self, session_id: UUID, *, there: bool) -> None:
        """Notes who has left."""
        if not there:
            self.left_by.append(session_id)

    async def end(self, caller: Actor, session_id: UUID, reason: EndReason) -> None:
        """Notes the end."""
        self.ended[session_id] = reason

    def run(self, plan: Plan, transport: Transport, show: Audience) -> BareSession:
        """A bare session."""
        stored = self.stored.setdefault(plan.session_id, Stored())
        running = BareSession(self._scripts(), transport, show, stored)
        self.running[plan.session_id] = running
        running._closed.add_done_callback(
            lambda closed: self.ended.__setitem__(plan.session_id, closed.result())
        )
        return running

    def _plan(self, session_id: UUID) -> Plan:
        assert self.caller.id is not None
        return Plan(
            session_id=session_id,
            conversation_id=self.conversation,
            owner_id=self.caller.id,
            channel="websocket",
            pipeline="cascade",
            ends_at=datetime.now(UTC) + timedelta(minutes=30),
        )
