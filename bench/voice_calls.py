"""Callers of /ws/voice, and what they hear."""

import asyncio
import base64
import contextlib
import json
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from voice_bare import QUIET, STEP
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

PERIOD = 9.0
"""Seconds from one question of a call to its next one, about."""
TRY_LATER = 1013
MADE_WITHIN = 25.0
"""Seconds in which all calls are made and greeted."""


@dataclass
class Reply:
    """What one reply looked like from outside; seconds from the end of speech."""

    text: float | None = None
    sound: float | None = None
    chunks: list[tuple[float, bytes]] = field(default_factory=list)


@dataclass
class Line:
    """One call: speaks every `every` seconds, listens all the time."""

    socket: ClientConnection
    spoken: Sequence[str]
    replies: list[Reply] = field(default_factory=list)
    done: asyncio.Event = field(default_factory=asyncio.Event)
    ended: float = 0.0
    asking: bool = False

    async def read(self) -> None:
        """Notes when each reply's words and sound come."""
        with contextlib.suppress(ConnectionClosed):
            async for data in self.socket:
                self._take(data, time.perf_counter())
        self.done.set()

    def _take(self, data: str | bytes, now: float) -> None:
        message = json.loads(data)
        kind = message["event"]
        if kind == "audio_complete":
            self.done.set()
            self.asking = False
        elif kind in ("assistant_transcript", "audio") and self.asking:
            reply = self.replies[-1]
            if kind == "audio":
                reply.sound = reply.sound or now - self.ended
                reply.chunks.append((now, base64.b64decode(message["audio"])))
            else:
                reply.text = reply.text or now - self.ended

    async def turn(self, quiet: float, *, within: float = 20) -> None:
        """Silence for `quiet` seconds, the question, silence until it was answered whole."""
        due = time.perf_counter()
        for place in range(round(quiet / STEP) + len(self.spoken)):
            at = place - round(quiet / STEP)
            await self.socket.send(self.spoken[at] if at >= 0 else _SILENT)
            due += STEP
            await asyncio.sleep(max(0.0, due - time.perf_counter()))
        self.ended = time.perf_counter()
        self.replies.append(Reply())
        self.asking = True
        self.done.clear()
        async with asyncio.timeout(within):
            while not self.done.is_set():
                await self.socket.send(_SILENT)
                due += STEP
                await asyncio.sleep(max(0.0, due - time.perf_counter()))


def _message(pcm: bytes) -> str:
    return json.dumps({"event": "audio", "audio": base64.b64encode(pcm).decode("ascii")})


_SILENT = _message(QUIET)


@asynccontextmanager
async def call(url: str, token: str, spoken: bytes) -> AsyncIterator[Line]:
    """A call that was greeted."""
    pieces = [_message(spoken[at : at + len(QUIET)]) for at in range(0, len(spoken), len(QUIET))]
    address = f"ws{url.removeprefix('http')}/ws/voice"
    headers = {"authorization": f"Bearer {token}"}
    async with connect(
        address, additional_headers=headers, proxy=None, compression=None, open_timeout=30
    ) as socket:
        line = Line(socket, pieces)
        reading = asyncio.create_task(line.read())
        async with asyncio.timeout(60):
            await line.done.wait()
        if socket.close_code == TRY_LATER:
            raise Refused
        yield line
        await socket.close()
        await asyncio.gather(reading, return_exceptions=True)


class Refused(Exception):
    """No more calls are taken."""


@dataclass
class Calls:
    """Calls at once: what they heard, how many were not taken, and how many broke."""

    replies: list[Reply] = field(default_factory=list)
    refused: int = 0
    broken: int = 0


async def many(url: str, token: str, spoken: bytes, count: int, seconds: float) -> Calls:
    """So many calls at once, whose ends of turn are spread over the time.

    They are made within `MADE_WITHIN` seconds; measured is what they ask after that.
    """
    calls = Calls()
    begins = time.perf_counter() + MADE_WITHIN

    async def one(place: int) -> None:
        await asyncio.sleep(place * min(0.2, (MADE_WITHIN - 10) / count))
        try:
            async with call(url, token, spoken) as line:
                await asyncio.sleep(max(0.0, begins - time.perf_counter()))
                await line.turn(1 + place * PERIOD / count)
                line.replies.clear()
                until = time.perf_counter() + seconds
                while time.perf_counter() < until:
                    await line.turn(6)
                calls.replies.extend(line.replies)
        except Refused:
            calls.refused += 1
        except (OSError, TimeoutError, ConnectionClosed):
            calls.broken += 1

    await asyncio.gather(*(one(place) for place in range(count)))
    return calls
