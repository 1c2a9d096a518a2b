"""A client of the voice sockets: what it sends in real time, what came and when."""

import asyncio
import base64
import contextlib
import io
import json
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import av
import numpy as np
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

Message = dict[str, Any]
STEP = 0.02


def resampled(pcm: bytes, rate: int, wanted: int) -> bytes:
    """The same sound at another rate."""
    if rate == wanted:
        return pcm
    samples = np.frombuffer(pcm, dtype=np.int16)
    at = np.arange(0, len(samples), rate / wanted)
    changed: bytes = np.interp(at, np.arange(len(samples)), samples).astype(np.int16).tobytes()
    return changed


def decoded(mp3: bytes) -> bytes:
    """PCM s16le 24 kHz mono of an MP3, with the encoder's delay at its start."""
    if not mp3:
        return b""
    with av.open(io.BytesIO(mp3), mode="r", format="mp3") as file:
        frames = [frame.to_ndarray().ravel() for frame in file.decode(audio=0)]
    whole: bytes = (np.concatenate(frames) * 32_767).astype(np.int16).tobytes()
    return whole


class HungUp(Exception):
    """The server closed the socket; `code` says why."""

    def __init__(self, code: int) -> None:
        super().__init__(f"closed with {code}")
        self.code = code


@dataclass
class Caller:
    """One socket, and all that came over it: messages with the second at which they came."""

    socket: ClientConnection
    rate: int
    wrap: Callable[[str], Message]
    kind: str
    clock: Callable[[], float] = time.monotonic
    got: list[tuple[float, Message]] = field(default_factory=list)
    changed: asyncio.Event = field(default_factory=asyncio.Event)
    code: int | None = None
    on_message: Callable[[Message], None] = lambda _: None

    async def send(self, message: Message) -> None:
        """One message."""
        await self.socket.send(json.dumps(message))

    async def say(self, pcm: bytes, *, at_once: bool = False) -> float:
        """Sound at 16 kHz in real time, or all at once; answers when its end was sent."""
        pcm = resampled(pcm, 16_000, self.rate)
        size = round(self.rate * STEP) * 2
        due = self.clock()
        for start in range(0, len(pcm), size):
            chunk = base64.b64encode(pcm[start : start + size]).decode()
            await self.send(self.wrap(chunk))
            due += STEP
            if not at_once:
                await asyncio.sleep(max(0.0, due - self.clock()))
        return self.clock()

    async def quiet(self, seconds: float) -> None:
        """Silence in real time."""
        await self.say(bytes(2 * round(16_000 * seconds)))

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[None]:
        """Silence for as long as the block lasts, as an open microphone sends it."""
        task = asyncio.create_task(self.quiet(600))
        try:
            yield
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def wait_for(self, *names: str, after: int = 0, within: float = 10.0) -> Message:
        """The first message of these names among those from the `after`th on.

        Raises:
            HungUp: the socket was closed before.
            TimeoutError: none came `within` so many seconds.
        """
        async with asyncio.timeout(within):
            while True:
                for _, message in self.got[after:]:
                    if message[self.kind] in names:
                        return message
                if self.code is not None:
                    raise HungUp(self.code)
                self.changed.clear()
                await self.changed.wait()

    async def closed(self, within: float = 10.0) -> int:
        """The code that the server closed with."""
        async with asyncio.timeout(within):
            while self.code is None:
                self.changed.clear()
                await self.changed.wait()
        return self.code

    def all(self, *names: str) -> list[Message]:
        """Messages of these names, in order."""
        return [message for _, message in self.got if message[self.kind] in names]

    def names(self) -> list[str]:
        """What came, in order."""
        return [message[self.kind] for _, message in self.got]

    async def read(self) -> None:
        """Until the socket closes."""
        with contextlib.suppress(ConnectionClosed):
            async for data in self.socket:
                message = json.loads(data)
                self.got.append((self.clock(), message))
                self.on_message(message)
                self.changed.set()
        self.code = self.socket.close_code
        self.changed.set()


@asynccontextmanager
async def calling(url: str, *, session: bool = False, **options: Any) -> AsyncIterator[Caller]:
    """A client of `/ws/voice` or, with `session`, of the session socket."""
    async with connect(url, max_size=None, proxy=None, **options) as socket:
        caller = (
            Caller(socket, 24_000, lambda data: {"type": "audio", "data": data}, "type")
            if session
            else Caller(socket, 16_000, lambda data: {"event": "audio", "audio": data}, "event")
        )
        reading = asyncio.create_task(caller.read())
        try:
            yield caller
        finally:
            await socket.close()
            await reading


def mp3_of(messages: list[Message]) -> bytes:
    """The chunks of `audio` messages joined."""
    return b"".join(base64.b64decode(message["audio"]) for message in messages)


def pcm_of(messages: list[Message]) -> bytes:
    """The samples of the session socket's `audio` messages joined."""
    return b"".join(base64.b64decode(message["data"]) for message in messages)
