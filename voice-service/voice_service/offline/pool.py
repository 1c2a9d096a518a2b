"""Recogniser processes: each hears one caller at a time, and one that dies is replaced."""

import asyncio
import contextlib
import json
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import structlog

from voice_service.offline import hearing, worker

_END_SECONDS = 10.0
_START_SECONDS = 20.0

_log = structlog.stdlib.get_logger(__name__)


class Deaf(RuntimeError):
    """The recogniser's process ended; what was being said is lost, and the caller is asked."""


class Full(RuntimeError):
    """As many callers are heard as this machine can hear."""


class Ear:
    """One process. `start`, `feed`, `end`, one utterance after the other."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        self._process, self._in, self._out = process, process.stdin, process.stdout
        self._heard: asyncio.Future[hearing.Hearing] | None = None
        self._ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._reading = asyncio.create_task(self._read())
        self._partial: Callable[[str], None] | None = None
        self._fed = 0

    @classmethod
    async def open(cls, model: Path) -> "Ear":
        """Starts a process with `model`. Raises `Deaf`."""
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-P", "-m", "voice_service.offline.worker", str(model),
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
        )  # fmt: skip
        ear = cls(process)
        try:
            async with asyncio.timeout(_START_SECONDS):
                await asyncio.shield(ear._ready)
        except (TimeoutError, Deaf):
            await ear.aclose()
            raise Deaf("a recogniser did not start") from None
        return ear

    @property
    def alive(self) -> bool:
        return self._process.returncode is None and not self._reading.done()

    @property
    def pid(self) -> int:
        return self._process.pid

    def reset(self) -> None:
        """Forgets the last caller."""
        self._send(worker.RESET)

    def start(self, partial: Callable[[str], None] | None = None) -> None:
        """Begins an utterance; `partial` gets the words so far, as written, when they change."""
        self._partial, self._fed = partial, 0
        self._send(worker.START)

    async def feed(self, pcm: bytes) -> None:
        """More of it, 16-bit PCM, mono, 16 kHz. Waits when the process is behind."""
        self._fed += len(pcm)
        self._send(worker.AUDIO, pcm)
        with contextlib.suppress(ConnectionError):
            await self._in.drain()

    def drop(self) -> None:
        """Ends the utterance without words."""
        self._partial = None
        if self.alive:
            self._send(worker.DROP)

    async def end(self) -> hearing.Hearing:
        """Ends the utterance. Raises `Deaf`, at the latest after ten seconds and the length of
        what it was fed, which may have come at once."""
        self._heard = asyncio.get_running_loop().create_future()
        self._send(worker.END)
        try:
            async with asyncio.timeout(_END_SECONDS + self._fed / 2 / hearing.RATE_HZ):
                return await self._heard
        except TimeoutError:
            self._process.kill()
            raise Deaf("a recogniser did not answer") from None
        finally:
            self._heard = self._partial = None

    async def aclose(self) -> None:
        """Ends the process."""
        if self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                self._process.kill()
        await self._process.wait()
        self._reading.cancel()
        await asyncio.gather(self._reading, return_exceptions=True)

    def _send(self, kind: bytes, payload: bytes = b"") -> None:
        if not self.alive:
            raise Deaf("the recogniser's process ended")
        self._in.write(worker.HEADER.pack(kind, len(payload)) + payload)

    async def _read(self) -> None:
        try:
            while line := await self._out.readline():
                self._take(json.loads(line))
        finally:
            for waiting in (self._heard, self._ready):
                if waiting is not None and not waiting.done():
                    waiting.set_exception(Deaf("the recogniser's process ended"))
                    waiting.exception()

    def _take(self, answer: dict[str, object]) -> None:
        heard = answer.get("heard")
        if isinstance(heard, dict):
            if self._heard is not None and not self._heard.done():
                self._heard.set_result(_hearing(heard))
        elif "partial" in answer:
            if self._partial is not None:
                self._partial(hearing.written(str(answer["partial"])))
        elif not self._ready.done():
            self._ready.set_result(None)


def _hearing(heard: dict[str, object]) -> hearing.Hearing:
    words, keyphrases = str(heard["text"]), heard["keyphrases"]
    clarity = heard["clarity"]
    assert isinstance(clarity, dict)
    assert isinstance(keyphrases, list)
    sure = hearing.confidence(hearing.Clarity(**clarity)) if words else 0.0
    return hearing.Hearing(words, hearing.written(words), sure, tuple(map(str, keyphrases)))


class Pool:
    """Up to `most` processes; one is kept warm."""

    def __init__(self, model: Path, most: int) -> None:
        self._model, self._most = model, most
        self._idle: list[Ear] = []
        self._leased: set[Ear] = set()
        self._opening = 0
        self._closed = False

    async def warm(self) -> None:
        """Starts a process ahead of the first caller."""
        async with self.lease():
            pass

    @asynccontextmanager
    async def lease(self) -> AsyncIterator[Ear]:
        """A process for one caller. Raises `Full` and `Deaf`."""
        ear = await self._take()
        self._leased.add(ear)
        try:
            yield ear
        finally:
            self._leased.discard(ear)
            if self._closed or not ear.alive or self._idle:
                await ear.aclose()
            else:
                ear.drop()
                ear.reset()
                self._idle.append(ear)

    async def _take(self) -> Ear:
        while self._idle:
            ear = self._idle.pop()
            if ear.alive:
                return ear
            await ear.aclose()
        if self._closed or len(self._leased) + self._opening >= self._most:
            raise Full(f"{self._most} callers are being heard")
        self._opening += 1
        try:
            return await Ear.open(self._model)
        except Deaf:
            _log.warning("recogniser.not_started")
            raise
        finally:
            self._opening -= 1

    async def aclose(self) -> None:
        """Ends every process."""
        self._closed = True
        for ear in (*self._idle, *self._leased):
            await ear.aclose()
        self._idle.clear()
