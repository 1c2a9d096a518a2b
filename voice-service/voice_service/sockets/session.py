"""`/api/v1/voice/session/{id}/ws`: a session's sound, words and state over a socket."""

import asyncio
from uuid import UUID

from fastapi import WebSocket
from pydantic import ValidationError

from kit import logs
from kit.errors import DomainError, NotFound
from kit.identity import Actor
from voice_service import sockets_door
from voice_service.sockets import intake, messages, refusals, watching
from voice_service.sockets.desk import Desk
from voice_service.sockets.held import Calls, Held
from voice_service.sockets.lines import Code, Line

_log = logs.get(__name__)


class Visit:
    """One socket of a session, which may have others before and after it."""

    def __init__(self, socket: WebSocket, desk: Desk, calls: Calls, *, idle: float) -> None:
        self._socket, self._desk, self._calls, self._idle = socket, desk, calls, idle
        self._line = Line(socket)
        self._held: Held | None = None
        self._entered = asyncio.Event()
        self._starting: asyncio.Task[None] | None = None
        self._wrong = 0

    async def carry(self, session_id: str) -> None:
        """Serves the socket; the session goes on for a grace time after it."""
        await sockets_door.accept(self._socket)
        visiting = asyncio.create_task(self._visit(session_id))
        try:
            await self._line.carry(self._receive)
        finally:
            visiting.cancel()
            await asyncio.gather(visiting, return_exceptions=True)
            if self._held is not None:
                self._leave(self._held)

    def _leave(self, held: Held) -> None:
        if self._line.closed_with == Code.RESTARTING and held.started:
            held.begin_to_end("drained")
        held.detach(self._line)

    async def _visit(self, session_id: str) -> None:
        try:
            tokens = sockets_door.tokens_offered(self._socket)
            caller = await self._desk.admit(tokens, guests=False)
            held = await self._calls.take(caller, _id(session_id))
        except DomainError as error:
            self._refuse(error)
            self._line.hang_up(refusals.closing(error))
            return
        except Exception as error:
            self._break_off(error)
            return
        self._held = held
        held.attach(self._line)
        self._entered.set()
        await self._watch(caller, held)

    async def _watch(self, caller: Actor, held: Held) -> None:
        code = await watching.watch(
            self._line, self._desk, caller, idle=self._idle, busy=lambda: held.busy
        )
        if code is Code.IDLE:
            self._refuse(refusals.TooIdle())
        if held.started:
            held.begin_to_end("silence" if code is Code.IDLE else "caller_left")
        self._line.hang_up(code)

    async def _receive(self, text: str) -> None:
        await self._entered.wait()
        if self._held is None:
            return
        try:
            await self._take(self._held, messages.SESSION_CLIENT.validate_json(text))
        except (DomainError, ValidationError) as error:
            self._refuse(refusals.wrong(error))
            self._wrong += 1
            if self._wrong >= refusals.MAX_WRONG:
                self._refuse(refusals.TooManyWrong())
                self._line.hang_up(Code.MISUSED)

    async def _take(self, held: Held, message: messages.FromSession) -> None:
        match message:
            case messages.SpeechIn():
                await asyncio.sleep(held.hear(intake.decode(message.data)))
            case messages.TypedText():
                await held.say_typed(message.text)
                self._wrong = 0  # whoever writes too fast, and now and then not, may go on
            case messages.Control(action="start"):
                self._starting = asyncio.create_task(self._started(held, held.start()))
            case messages.Control():
                held.begin_to_end("asked")

    async def _started(self, held: Held, start: asyncio.Task[None]) -> None:
        try:
            await start
        except DomainError as error:
            self._refuse(error)
            self._line.hang_up(refusals.closing(error))
        except Exception as error:
            self._break_off(error)
            if held.started:
                held.begin_to_end("failed")

    def _break_off(self, error: Exception) -> None:
        _log.error("voice.failed", **logs.failure(error))
        self._refuse(refusals.Broken())
        self._line.hang_up(Code.FAILED)

    def _refuse(self, error: DomainError) -> None:
        self._line.send(messages.Error(code=error.code, message=error.message))


def _id(text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError:
        raise NotFound from None
