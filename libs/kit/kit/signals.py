"""`NOTIFY` as a shortener of polls: whoever waits is woken early, and looks again in any case.

One connection a process listens. When it is lost, or stands behind a pooler that cannot listen,
waiters simply wait for their poll.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import asyncpg

from kit import background, logs
from kit.database import CANNOT_CONNECT, CONNECTION_ERRORS, behind_pooler

POLL = 1.0
"""Seconds after which a waiter looks again, notified or not."""

ALIVE_EVERY = 5.0
"""Seconds between two looks at whether the connection that listens still answers, which may take
as long: one that was lost without a word would wake nobody, and a middleman cuts an idle one."""

CHANNEL = "medbot"
"""The one PostgreSQL channel; a payload is `<topic>` or `<topic>:<id>`."""

_log = logs.get(__name__)


class Signals:
    """Wakes waiters of this process by topic."""

    def __init__(self) -> None:
        self._waiting: dict[str, set[asyncio.Event]] = {}
        self.listening = False

    @contextmanager
    def on(self, *topics: str) -> Iterator[Callable[..., Awaitable[None]]]:
        """Yields an async function that returns at the next notification, or after `POLL`.

        A notification between two calls is not lost: the second returns at once.
        """
        woken = asyncio.Event()
        for topic in topics:
            self._waiting.setdefault(topic, set()).add(woken)

        async def wait(within: float = POLL) -> None:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(within):
                    await woken.wait()
            woken.clear()

        try:
            yield wait
        finally:
            for topic in topics:
                self._waiting[topic].discard(woken)
                if not self._waiting[topic]:
                    del self._waiting[topic]

    def nudge(self, topic: str) -> None:
        """Wakes those who wait for `topic` in this process, unless a notification will."""
        if not self.listening:
            self.wake(topic)

    def wake(self, topic: str) -> None:
        """Wakes those who wait for `topic` in this process."""
        for waiter in self._waiting.get(topic, ()):
            waiter.set()


@asynccontextmanager
async def open_signals(url: str) -> AsyncIterator[Signals]:
    """Listens on `url` for as long as the block lasts."""
    signals = Signals()
    if behind_pooler(url):
        yield signals
        return
    async with background.running(listen=lambda: _listen_for_ever(url, signals)):
        yield signals


async def _listen_for_ever(url: str, signals: Signals) -> None:
    while True:
        try:
            connection = await asyncpg.connect(url)
        except CANNOT_CONNECT as error:
            _log.warning("signals.lost", **logs.failure(error))
        else:
            await _listen(connection, signals)
        await asyncio.sleep(POLL)


async def _listen(connection: Any, signals: Signals) -> None:
    ended = asyncio.Event()
    connection.add_termination_listener(lambda _: ended.set())
    try:
        async with asyncio.timeout(ALIVE_EVERY):
            await connection.add_listener(CHANNEL, lambda *heard: signals.wake(heard[3]))
        signals.listening = True
        while not await _ends_within(ALIVE_EVERY, ended):
            await connection.execute("select 1", timeout=ALIVE_EVERY)
    except CONNECTION_ERRORS as error:
        _log.warning("signals.lost", **logs.failure(error))
    finally:
        signals.listening = False
        with contextlib.suppress(*CONNECTION_ERRORS):
            await connection.close(timeout=1)


async def _ends_within(seconds: float, ended: asyncio.Event) -> bool:
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await ended.wait()
    return ended.is_set()
