"""Sessions that run here, with the ends of their sound; they outlive a socket by a grace time."""

import asyncio
from collections import deque
from uuid import UUID

from pydantic import BaseModel

from contracts.voice import AgentState, EndReason
from kit import logs
from kit.errors import NotFound
from kit.identity import Actor
from voice_service.agent import pace, ports
from voice_service.sockets import messages, refusals
from voice_service.sockets.desk import Desk, Found
from voice_service.sockets.intake import Intake
from voice_service.sockets.lines import Code, Line
from voice_service.sockets.players import PcmPlayer
from voice_service.sockets.playout import PacedOutput, SpokenText

KEPT_BEFORE = 60.0
"""Seconds of speech that are kept of a session that was not started."""

_log = logs.get(__name__)


class Held:
    """One session and the socket that has it now, if any. It may run elsewhere: in a room."""

    def __init__(self, session_id: UUID, caller: Actor, desk: Desk, *, grace: float) -> None:
        self.session_id, self.caller = session_id, caller
        self._desk, self._grace = desk, grace
        self._line: Line | None = None
        self._intake = Intake(messages.SESSION_RATE)
        self._player = PcmPlayer(self._send)
        self._output = PacedOutput(self._player)
        self._running: ports.Running | None = None
        self._status: messages.SessionStatus = "created"
        self._state: AgentState = "initializing"
        self._start: asyncio.Task[None] | None = None
        self._early: deque[str] = deque()
        """What was typed while the session was being started."""
        self._giving_up: asyncio.TimerHandle | None = None
        self._ending: asyncio.Task[None] | None = None
        self._following: asyncio.Task[None] | None = None
        self._telling: asyncio.Task[None] | None = None
        self._told = asyncio.Lock()
        self.over = asyncio.Event()

    # The socket

    @property
    def started(self) -> bool:
        """Whether the session was asked to run."""
        return self._running is not None

    @property
    def _starting(self) -> bool:
        return self._start is not None and not self._start.done()

    @property
    def busy(self) -> bool:
        """Whether the assistant is speaking, or the session runs elsewhere."""
        return self._output.busy or (not self.started and self._status == "active")

    def found(self, found: Found) -> None:
        """How the session is, as long as it does not run here."""
        if not self.started:
            self._status, self._state = found.status, found.agent_state

    def attach(self, line: Line) -> None:
        """Gives the session to a socket; one that had it before is closed."""
        if self._line is not None:
            self._line.hang_up(Code.TAKEN_OVER)
        if self._giving_up is not None:
            self._giving_up.cancel()
            self._giving_up = None
        self._line = line
        self._tell_status()
        self._output.release()
        if self.started:
            self._tell_desk()
        elif self._following is None:
            self._following = asyncio.create_task(self._follow())

    def detach(self, line: Line) -> None:
        """The socket is gone: the speech waits, and after the grace time the session ends.

        One that was not started is left as it was; a start that is under way is waited for.
        """
        if self._line is not line:
            return
        self._line = None
        self._output.hold()
        if not self._starting:
            self._leave()

    def _leave(self) -> None:
        """No socket has the session, and it is known whether it runs here."""
        if not self.started:
            self._stop_following()
            self.over.set()
            return
        self._tell_desk()
        loop = asyncio.get_running_loop()
        self._giving_up = loop.call_later(self._grace, self.begin_to_end, "caller_left")

    def _tell_desk(self) -> None:
        self._telling = asyncio.create_task(self._tell_attended())

    async def _tell_attended(self) -> None:
        async with self._told:  # else the last word might be that of an earlier moment
            await self._desk.attended(self.session_id, there=self._line is not None)

    # What the caller sends

    def hear(self, pcm: bytes) -> float:
        """Takes speech; answers for how many seconds no more should be taken.

        Raises:
            NotStarted: too much of it waits for somebody to ask that the session runs.
        """
        idle = not self.started and not self._starting
        if idle and self._intake.waiting > KEPT_BEFORE:
            raise refusals.NotStarted
        self._intake.push(pcm)
        return self._intake.excess

    def start(self) -> asyncio.Task[None]:
        """Lets the session run, once; the task fails with a `DomainError` if it cannot run here."""
        if self._start is None or not (self.started or self._starting):
            self._start = asyncio.create_task(self._begin())
        else:
            self._tell_status()
        return self._start

    async def _begin(self) -> None:
        try:
            await self._run()
        finally:
            if self._line is None:
                self._leave()

    async def _run(self) -> None:
        plan = await self._desk.join(self.caller, self.session_id)
        self._stop_following()
        self._status = "connecting"
        self._tell_status()
        text = SpokenText(self._output, self._player)
        ends = ports.Transport(
            audio_in=self._intake,
            audio_out=self._output,
            text_out=text,
            heard=self._output.heard,
            attended=lambda: self._line is not None,
        )
        self._running = self._desk.run(plan, ends, self._show)
        await self._running.start()
        self._status = "active"
        self._tell_status()
        while self._early:
            await self._running.say_typed(self._early.popleft())

    async def say_typed(self, text: str) -> None:
        """Has a typed message answered, once the session runs, which is not waited for.

        Raises:
            NotStarted: nobody has asked for it to run.
            TooFast: too many wait already.
        """
        if self._starting:
            taken = len(self._early) < pace.WAITING
            if taken:
                self._early.append(text)
        elif self._running is not None:
            taken = await self._running.say_typed(text)
        else:
            raise refusals.NotStarted
        if not taken:
            raise refusals.TooFast

    # Its end

    def begin_to_end(self, reason: EndReason) -> None:
        """Ends the session in the background; `over` is set when every turn is stored."""
        if self._ending is None:
            self._ending = asyncio.create_task(self._end(reason))

    async def end(self, reason: EndReason) -> None:
        """Ends the session; returns when every turn is stored."""
        self.begin_to_end(reason)
        assert self._ending is not None
        await asyncio.shield(self._ending)

    async def _end(self, reason: EndReason) -> None:
        try:
            if self._running is not None:
                await self._running.end(reason)
            elif reason == "asked":  # else it may run elsewhere, and goes on there
                await self._desk.end(self.caller, self.session_id, reason)
        except Exception as error:
            _log.error("voice.failed", **logs.failure(error))
        self._finish(reason)

    def _finish(self, reason: EndReason) -> None:
        self._status = "failed" if reason == "failed" else "ended"
        self._stop()

    def _stop(self) -> None:
        self._stop_following()
        if self._giving_up is not None:
            self._giving_up.cancel()
        self._intake.close()
        self._output.close()
        self._tell_status()
        if self._line is not None:
            self._line.hang_up(Code.OVER)
        self.over.set()

    # What it is elsewhere

    async def _follow(self) -> None:
        """Tells how the session is while it does not run here; a cancellation may be lost to a
        connection that fails in that moment."""
        while self._following is asyncio.current_task() and self._ending is None:
            known = Found(self._status, self._state)
            try:
                found = await self._desk.changed(self.caller, self.session_id, known)
            except NotFound:
                found = Found("ended", self._state)
            self.found(found)
            if found.status in ("ended", "failed"):
                self._stop()
                return
            self._tell_status()

    def _stop_following(self) -> None:
        following, self._following = self._following, None
        if following is not None and following is not asyncio.current_task():
            following.cancel()

    # What the session shows

    def _show(self, shown: ports.Shown) -> None:
        match shown:
            case ports.Transcript() if shown.role == "user" or shown.final:
                self._send(messages.Transcript(role=shown.role, text=shown.text, final=shown.final))
            case ports.StateChanged():
                self._state = shown.state
                self._tell_status()
            case ports.Closed() if self._ending is None:
                self._finish(shown.reason)

    def _tell_status(self) -> None:
        self._send(messages.Status(status=self._status, agent_state=self._state))

    def _send(self, message: BaseModel) -> None:
        if self._line is not None:
            self._line.send(message)


class Calls:
    """Those of this process, by the ids of their sessions."""

    def __init__(self, desk: Desk, *, grace: float) -> None:
        self._desk, self._grace = desk, grace
        self._held: dict[UUID, Held] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    async def take(self, caller: Actor, session_id: UUID) -> Held:
        """The session of a caller, running or not.

        Raises:
            NotFound: it is not the caller's.
            SessionOver: it has ended.
        """
        found = await self._desk.find(caller, session_id)
        held = self._held.get(session_id)
        if held is None or held.over.is_set():
            held = Held(session_id, caller, self._desk, grace=self._grace)
            self._held[session_id] = held
            forgetting = asyncio.create_task(self._forget(held))
            self._tasks.add(forgetting)
            forgetting.add_done_callback(self._tasks.discard)
        held.found(found)
        return held

    async def close(self, reason: EndReason = "drained") -> None:
        """Ends them all."""
        await asyncio.gather(*(held.end(reason) for held in [*self._held.values()]))

    async def _forget(self, held: Held) -> None:
        await held.over.wait()
        if self._held.get(held.session_id) is held:
            del self._held[held.session_id]
