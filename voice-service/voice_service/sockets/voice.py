"""`/ws/voice`: a call with no session made before it; PCM in, MP3 out."""

import asyncio
from collections.abc import Callable
from uuid import UUID

from fastapi import WebSocket
from pydantic import ValidationError

from contracts.voice import EndReason
from kit import logs
from kit.errors import DomainError, NotFound
from kit.identity import Actor
from voice_service import doors, sockets_door
from voice_service.agent import ports
from voice_service.sockets import intake, messages, refusals, watching
from voice_service.sockets.desk import Desk
from voice_service.sockets.lines import Code, Line
from voice_service.sockets.players import Mp3Player
from voice_service.sockets.playout import PacedOutput, SpokenText

_log = logs.get(__name__)


class Call:
    """One socket from its opening to its end, which is the end of its session too."""

    def __init__(
        self, socket: WebSocket, desk: Desk, *, idle: float, now: Callable[[], float]
    ) -> None:
        self._socket, self._desk, self._now = socket, desk, now
        self._idle = idle
        self._line = Line(socket)
        self._intake = intake.Intake(messages.VOICE_RATE)
        self._player = Mp3Player(self._line.send, now)
        self._output = PacedOutput(self._player)
        self._running: ports.Running | None = None
        self._wrong = 0

    async def carry(self) -> None:
        """Serves the socket; the caller's first sample is kept while the session is made."""
        await sockets_door.accept(self._socket)
        talking = asyncio.create_task(self._talk())
        try:
            await self._line.carry(self._receive)
        finally:
            talking.cancel()
            await asyncio.gather(talking, return_exceptions=True)
            self._intake.close()
            if self._running is not None:
                await self._running.end(self._reason())
            self._output.close()

    async def _talk(self) -> None:
        try:
            tokens = sockets_door.tokens_offered(self._socket)
            await self._begin(await self._desk.admit(tokens, guests=True))
        except DomainError as error:
            self._refuse(error)
            self._line.hang_up(refusals.closing(error))
        except Exception as error:
            _log.error("voice.failed", **logs.failure(error))
            self._refuse(refusals.Broken())
            self._line.hang_up(Code.FAILED)

    async def _begin(self, caller: Actor) -> None:
        plan = await self._desk.open(caller, self._conversation(), doors.locale(self._socket))
        ends = ports.Transport(
            audio_in=self._intake,
            audio_out=self._output,
            text_out=SpokenText(self._output, self._player),
            heard=self._output.heard,
        )
        self._running = self._desk.run(plan, ends, self._show)
        self._line.send(messages.Ready(conversation_id=str(plan.conversation_id)))
        await self._running.start()
        ended = asyncio.ensure_future(self._running.closed())
        watched = asyncio.ensure_future(
            watching.watch(
                self._line, self._desk, caller, idle=self._idle, busy=lambda: self._output.busy
            )
        )
        try:
            await asyncio.wait((ended, watched), return_when=asyncio.FIRST_COMPLETED)
            self._close(Code.OVER if ended.done() else watched.result())
        finally:
            ended.cancel()
            watched.cancel()

    def _close(self, code: Code) -> None:
        if code is Code.IDLE:
            self._refuse(refusals.TooIdle())
        self._line.hang_up(code)

    async def _receive(self, text: str) -> None:
        try:
            message = messages.VOICE_CLIENT.validate_json(text)
            self._intake.push(intake.decode(message.audio))
        except (DomainError, ValidationError) as error:
            self._refuse(refusals.wrong(error))
            self._wrong += 1
            if self._wrong >= refusals.MAX_WRONG:
                self._refuse(refusals.TooManyWrong())
                self._line.hang_up(Code.MISUSED)
        await asyncio.sleep(self._intake.excess)

    def _show(self, shown: ports.Shown) -> None:
        if isinstance(shown, ports.Transcript) and shown.role == "user" and shown.final:
            self._line.send(
                messages.UserTranscript(text=shown.text, timestamp=shown.at.timestamp())
            )

    def _refuse(self, error: DomainError) -> None:
        self._line.send(messages.Failed(message=error.message))

    def _conversation(self) -> UUID | None:
        wanted = self._socket.query_params.get("conversation_id")
        try:
            return UUID(wanted) if wanted is not None else None
        except ValueError:
            raise NotFound from None

    def _reason(self) -> EndReason:
        return "drained" if self._line.closed_with == Code.RESTARTING else "caller_left"
