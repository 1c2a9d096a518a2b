"""One running session, whatever carries its sound: begins it, watches over it, ends it."""

import asyncio
import contextlib
import time
from collections.abc import Callable, Coroutine
from datetime import UTC, datetime
from typing import Any

import structlog
from livekit.agents import AgentSession, CloseEvent
from livekit.agents.voice import AgentStateChangedEvent, room_io

from assistant import safety
from assistant.turns import Turn
from contracts.voice import AgentState, Changes, EndReason, Heartbeat, Plan
from kit import background
from kit.errors import DomainError, Kind
from voice_service.agent import phrases, pipelines
from voice_service.agent.conversation import Conversation
from voice_service.agent.detecting import Detector
from voice_service.agent.gate import Gate
from voice_service.agent.hearing import Hearing
from voice_service.agent.ledger import Ledger
from voice_service.agent.ports import (
    Audience,
    Closed,
    Link,
    SessionGone,
    SessionLost,
    StateChanged,
    Transport,
)
from voice_service.agent.resources import Resources
from voice_service.agent.session import build_session
from voice_service.agent.speaker import Speaker
from voice_service.agent.writing import Writing

BEATS = 3.0
"""Seconds between two heartbeats."""
ANNOUNCED = 60.0
"""Seconds before the longest duration is over at which it is said."""
ALONE_FOR = 12.0
"""Seconds for which a room is kept without its caller, whose network may come back."""
LAST_WORDS_WITHIN = 2.0
"""Seconds for the words of somebody who has just hung up."""
GOODBYE_WITHIN = 15.0
ALARM_WITHIN = 90.0
"""Seconds for an alarm that was raised over a goodbye; the longest takes a good minute."""
LOOKS = 0.25
KEEPS = 1.0
"""Seconds between two records of what was said so far."""
CLOSES_WITHIN = 5.0

_log = structlog.stdlib.get_logger(__name__)
_STATES: dict[str, AgentState] = {
    "initializing": "initializing",
    "idle": "listening",
    "listening": "listening",
    "thinking": "thinking",
    "speaking": "speaking",
}


def _nobody(_: object) -> None:
    """Shows nothing."""


class Supervisor:
    """See `ports.Running`."""

    def __init__(
        self,
        plan: Plan,
        link: Link,
        transport: Transport,
        resources: Resources,
        *,
        show: Audience = _nobody,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._plan, self._link, self._transport = plan, link, transport
        self._resources, self._show, self._now = resources, show, now
        self._state: AgentState = "initializing"
        self._tasks: list[asyncio.Task[None]] = []
        self._end: asyncio.Task[None] | None = None
        self._closed: asyncio.Future[EndReason] = asyncio.get_running_loop().create_future()
        self._asked_if_there = False
        self._announced = False
        self._accompanied = self._changed = time.monotonic()
        self._attended = True
        history = [Turn(each.role, each.content) for each in plan.history]
        self._shop = pipelines.Shop(plan, resources, lambda: history)
        self._pipes = pipelines.assemble(self._shop, phrases.FILLERS)
        self._ledger = Ledger(
            link, next_seq=plan.next_seq, told=lambda turn: self._conversation.told(turn)
        )
        self._conversation = Conversation(
            history,
            gate=Gate(plan.locale, lambda: [*history, *self._ledger.held_back()]),
            ledger=self._ledger,
            pipes=self._pipes,
            deaf=self._deaf,
            show=show,
        )
        self._writing = Writing(self._conversation)
        self._session: AgentSession[None] | None = None

    async def start(self) -> None:
        """Greets where the conversation was not greeted, and listens."""
        detector = Detector(self._resources.thresholds)
        hearing = Hearing(
            self._pipes.chain,
            detector,
            self._conversation,
            pipelines.SPOKEN,
        )
        built = build_session(
            self._resources.settings,
            self._transport,
            hearing=hearing,
            detector=detector,
            on_typed=self._typed,
            witness=self._conversation.talk,
        )
        session = self._session = built.session
        self._conversation.attach(built)
        session.on("agent_state_changed", self._state_changed)
        session.on("close", self._session_closed)
        session.on("error", lambda event: _log.warning("session.error", kind=event.error.type))
        self._recording = asyncio.create_task(self._ledger.run())
        speaker = Speaker(self._conversation, self._pipes.speech, self._conversation.talk.meter)
        if built.room_options is not None and self._transport.room is not None:
            await session.start(
                speaker,
                room=self._transport.room,
                room_options=built.room_options,
                record=False,
            )
        else:
            await session.start(speaker, record=False)
        self._conversation.talk.watch_output()
        if self._end is not None:
            return
        self._writing.speaks = True
        works = (
            self._beat, self._follow, self._watch, self._keep, self._writing.answer,
            self._render_fillers,
        )  # fmt: skip
        for work in works:
            self._tasks.append(asyncio.create_task(self._guarded(work)))
        if not self._plan.greeted:
            self._conversation.talk.say(self._greeting())

    async def say_typed(self, text: str) -> bool:
        """See `Writing.say`."""
        return await self._writing.say(text)

    async def end(self, reason: EndReason) -> None:
        """Ends the session; returns when every turn is recorded. A second time is no harm."""
        if self._end is None:
            self._end = asyncio.create_task(self._finish(reason))
        await asyncio.shield(self._end)

    async def closed(self) -> EndReason:
        """Waits for the end, whoever asked for it."""
        return await asyncio.shield(self._closed)

    async def _finish(self, reason: EndReason) -> None:
        self._writing.speaks = False
        await background.ended(*self._tasks)
        if self._session is not None:
            await self._conversation.last_words(LAST_WORDS_WITHIN)
            self._conversation.fill_no_more()
            with contextlib.suppress(Exception):
                async with asyncio.timeout(CLOSES_WITHIN):
                    await self._session.aclose()
            self._conversation.talk.all_shown()
            self._conversation.hear_no_more()
            self._writing.keep()
            self._ledger.close(self._now())
            within = self._transport.records_within
            done, _ = await asyncio.wait((self._recording,), timeout=within)
            if not done:
                _log.error("session.turns_not_recorded")
                self._recording.cancel()
        with contextlib.suppress(Exception):
            await self._pipes.aclose()
        with contextlib.suppress(Exception):
            async with asyncio.timeout(CLOSES_WITHIN):
                await self._link.beat(Heartbeat(agent_state=self._state, ended=reason))
        _log.info("session.ended", reason=reason, turns=self._ledger.recorded)
        self._show(Closed(reason))
        if not self._closed.done():
            self._closed.set_result(reason)

    def _greeting(self) -> str:
        if self._plan.pipeline != "offline":
            return phrases.GREETING
        said = [phrases.GREETING_OFFLINE]
        if self._plan.limited:
            said.append(phrases.LIMITED)
        if not self._can_hear():
            said.append(phrases.GETTING_READY)
        return " ".join(said)

    def _can_hear(self) -> bool:
        local = self._resources.local
        return self._plan.pipeline != "offline" or local is None or local.ready

    def _deaf(self) -> str:
        why = phrases.CANNOT_HEAR if self._can_hear() else phrases.GETTING_READY
        number = safety.emergency_number(self._plan.locale)
        return f"{why} {phrases.IN_AN_EMERGENCY.format(number=number)}"

    async def _typed(self, _: AgentSession[Any], event: room_io.TextInputEvent) -> None:
        await self.say_typed(event.text)

    def _state_changed(self, event: AgentStateChangedEvent) -> None:
        state = _STATES.get(event.new_state, "listening")
        if state != self._state:
            self._state = state
            self._show(StateChanged(state))
            if self._end is not None:
                return
            self._tasks.append(asyncio.create_task(self._guarded(self._beat_once)))
            self._tasks = [task for task in self._tasks if not task.done()]

    def _session_closed(self, event: CloseEvent) -> None:
        if self._end is None:
            left = event.reason.value in {"participant_disconnected", "user_initiated"}
            self._spawn_end("caller_left" if left else "failed")

    def _spawn_end(self, reason: EndReason) -> None:
        if self._end is None:
            self._end = asyncio.create_task(self._finish(reason))

    async def _guarded(self, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        try:
            await work()
        except asyncio.CancelledError:
            raise
        except Exception as error:
            _log.error("session.task_failed", error_type=type(error).__name__)
            self._spawn_end("failed")

    async def _render_fillers(self) -> None:
        await self._pipes.render_fillers()

    async def _beat(self) -> None:
        while True:
            await self._beat_once()
            await asyncio.sleep(BEATS)

    async def _beat_once(self) -> None:
        room = self._transport.room
        there = len(room.remote_participants) if room is not None else self._transport.attended()
        said = self._conversation.talk.unprotected.is_set()
        state = self._state if said else "speaking"  # also between two of what is not cut off
        try:
            await self._link.beat(Heartbeat(agent_state=state, participants=int(there)))
        except Exception as error:  # the next one says it again, unless nobody wants it
            self._look_at(error)

    async def _keep(self) -> None:
        """What was said so far of a turn outlives this process."""
        while True:
            await asyncio.sleep(KEEPS)
            self._conversation.keep()

    async def _follow(self) -> None:
        cursor = self._plan.cursor
        while True:
            try:
                changes = await self._link.changes(cursor)
            except Exception as error:  # as above
                self._look_at(error)
                await asyncio.sleep(1)
                continue
            cursor = changes.cursor
            await self._apply(changes)

    def _look_at(self, error: Exception) -> None:
        """Ends the session when the voice service says that it is over, or another's."""
        _log.warning("session.link_failed", error_type=type(error).__name__)
        kind = error.kind if isinstance(error, DomainError) else None
        if kind is Kind.NOT_FOUND or isinstance(error, SessionGone):
            self._spawn_end("conversation_deleted")
        elif kind is Kind.CONFLICT or isinstance(error, SessionLost):
            self._spawn_end("asked")

    async def _apply(self, changes: Changes) -> None:
        for message in changes.messages:
            self._conversation.note(Turn(message.role, message.content))
        if changes.instructions is not None or changes.voice_settings is not None:
            await self._pipes.apply(changes.instructions, changes.voice_settings)
        if changes.end is not None:
            self._spawn_end(changes.end)

    async def _watch(self) -> None:
        """Long silence, the end of the longest duration, and whether somebody is there."""
        while True:
            await asyncio.sleep(LOOKS)
            left = (self._plan.ends_at - self._now()).total_seconds()
            if left <= 0:
                await self._say_goodbye(phrases.GOODBYE_TIME)
                self._spawn_end("too_long")
                return
            if left <= ANNOUNCED and not self._announced and not self._conversation.busy():
                self._announced = True
                soon = phrases.ENDING_SOON if left < ANNOUNCED / 2 else phrases.ONE_MINUTE
                self._conversation.talk.say(soon)
            self._conversation.take_up()
            await self._attend()
            if self._attended and self._conversation.talk.stuck:
                _log.error("session.stuck")
                self._conversation.talk.unstick()
                self._conversation.talk.say(phrases.GO_ON, protected=True)
            if self._alone():
                self._spawn_end("caller_left")
                return
            if await self._silent():
                return

    async def _attend(self) -> None:
        """Says when somebody comes or goes; what was being said waited for them."""
        there = self._transport.attended()
        if there == self._attended:
            return
        changed, self._attended = self._changed, there
        self._changed = time.monotonic()
        if there:
            self._conversation.talk.went_on(self._changed - changed)
        await self._beat_once()

    def _alone(self) -> bool:
        """Whether nobody has been in the room for a while."""
        room = self._transport.room
        if room is None or room.remote_participants:
            self._accompanied = time.monotonic()
        return time.monotonic() - self._accompanied > ALONE_FOR

    async def _silent(self) -> bool:
        conversation, talk = self._conversation, self._conversation.talk
        if conversation.heard_since:
            conversation.heard_since = self._asked_if_there = False
        quiet_for = time.monotonic() - talk.stirred
        if conversation.busy() or quiet_for < self._resources.settings.voice_timeout / 2:
            return False
        if not self._asked_if_there:
            self._asked_if_there = True
            talk.say(phrases.STILL_THERE)
            return False
        await self._say_goodbye(phrases.GOODBYE_SILENT)
        if conversation.heard_since or conversation.user_speaking:
            return False  # over the goodbye: somebody is there
        self._spawn_end("silence")
        return True

    async def _say_goodbye(self, text: str) -> None:
        """Returns when it was said, and what was said over it was found; an alarm comes first."""
        handle = self._conversation.talk.say(text, protected=True)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(GOODBYE_WITHIN):
                await handle
        await self._conversation.last_words(LAST_WORDS_WITHIN)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(ALARM_WITHIN):
                await self._conversation.talk.unprotected.wait()
