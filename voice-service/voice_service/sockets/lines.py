"""One open WebSocket: a bounded way out, a guarded way in, and the codes that it closes with."""

import asyncio
import contextlib
import time
from collections import deque
from collections.abc import Awaitable, Callable
from enum import IntEnum

from fastapi import WebSocket
from pydantic import BaseModel
from starlette.websockets import WebSocketDisconnect

from kit import logs
from voice_service.sockets.messages import MAX_MESSAGE

MAX_WAITING = 1_048_576
"""Bytes that wait for a client that reads too slowly."""
CLOSE_WITHIN = 5.0

_log = logs.get(__name__)


class Code(IntEnum):
    """Why a socket closes, as the client sees it."""

    OVER = 1000
    GOING_AWAY = 1001
    MISUSED = 1008
    TOO_BIG = 1009
    FAILED = 1011
    RESTARTING = 1012
    TRY_LATER = 1013
    TOKEN = 4401
    NOT_YOURS = 4404
    IDLE = 4408
    TAKEN_OVER = 4409
    ENDED = 4410
    TOO_MANY = 4429
    TOO_SLOW = 4431


Receive = Callable[[str], Awaitable[None]]


class Line:
    """A socket that was accepted. `send` and `hang_up` return at once; `carry` does the work."""

    def __init__(self, socket: WebSocket, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._socket, self._clock = socket, clock
        self._waiting: deque[str] = deque()
        self._bytes = 0
        self._wake = asyncio.Event()
        self._code: Code | None = None
        self._last_heard = clock()
        self.closed_with: int | None = None

    @property
    def open(self) -> bool:
        """Whether messages are still taken."""
        return self._code is None

    @property
    def waiting(self) -> int:
        """Bytes that were not sent yet."""
        return self._bytes

    def send(self, message: BaseModel) -> None:
        """Queues a message; a client that lets too much wait is hung up on."""
        if self._code is not None:
            return
        text = message.model_dump_json()
        self._waiting.append(text)
        self._bytes += len(text)
        self._wake.set()
        if self._bytes > MAX_WAITING:
            self._waiting.clear()
            self.hang_up(Code.TOO_SLOW)

    def hang_up(self, code: Code) -> None:
        """Closes with `code` after what was queued. The first code holds."""
        if self._code is None:
            self._code = code
            self._wake.set()

    async def carry(self, receive: Receive) -> None:
        """Hands over each message until either side has closed."""
        reading = asyncio.create_task(self._read(receive))
        writing = asyncio.create_task(self._write())
        try:
            await asyncio.wait((reading, writing), return_when=asyncio.FIRST_COMPLETED)
            if reading.done():
                failed = reading.exception()
                if failed is None:
                    return  # the client has closed
                _log.error("socket.failed", **logs.failure(failed))
                self.hang_up(Code.FAILED)
            await asyncio.wait((writing,), timeout=CLOSE_WITHIN)
        finally:
            self.hang_up(Code.OVER)
            for task in (reading, writing):
                task.cancel()
            await asyncio.gather(reading, writing, return_exceptions=True)

    def heard_something(self) -> None:
        """Takes the present as when the client sent something."""
        self._last_heard = self._clock()

    def idle(self) -> float:
        """Seconds since the client sent something."""
        return self._clock() - self._last_heard

    async def _read(self, receive: Receive) -> None:
        while True:
            message = await self._socket.receive()
            if message["type"] == "websocket.disconnect":
                self.closed_with = message.get("code")
                return
            self._last_heard = self._clock()
            if self._code is not None:
                continue
            data = message.get("text")
            if data is None:
                data = bytes(message.get("bytes") or b"").decode(errors="replace")
            if len(data) > MAX_MESSAGE or len(data.encode(errors="replace")) > MAX_MESSAGE:
                self.hang_up(Code.TOO_BIG)
            else:
                await receive(data)

    async def _write(self) -> None:
        with contextlib.suppress(WebSocketDisconnect, OSError, RuntimeError):
            while True:
                while self._waiting:
                    text = self._waiting.popleft()
                    await self._socket.send_text(text)
                    self._bytes -= len(text)
                if self._code is not None:
                    await self._socket.close(self._code)
                    return
                await self._wake.wait()
                self._wake.clear()
