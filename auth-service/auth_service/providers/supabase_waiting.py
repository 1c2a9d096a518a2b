"""Calls whose answer nobody waits for, so that how long they take tells nobody anything."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from auth_service.providers.supabase_errors import IdentityBusy
from kit import logs
from kit.errors import DomainError

MOST = 64

_log = logs.get(__name__)


class Waiting:
    """At most `MOST` calls that run by themselves."""

    def __init__(self) -> None:
        self._running: set[asyncio.Task[None]] = set()

    def start(self, call: Callable[[], Awaitable[None]]) -> None:
        """Raises IdentityBusy when too many run."""
        if len(self._running) >= MOST:
            raise IdentityBusy
        task = asyncio.create_task(_told(call))
        self._running.add(task)
        task.add_done_callback(self._running.discard)

    async def stop(self) -> None:
        """Waits for what runs: each call ends by itself within its own deadline."""
        await asyncio.gather(*self._running)


async def _told(call: Callable[[], Awaitable[None]]) -> None:
    try:
        await call()
    except DomainError as refused:
        _log.warning("supabase.not_done", code=refused.code)


@asynccontextmanager
async def open_waiting() -> AsyncIterator[Waiting]:
    """Calls run for as long as the block lasts, and to their end on leaving it."""
    waiting = Waiting()
    try:
        yield waiting
    finally:
        await waiting.stop()
