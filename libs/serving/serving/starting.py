"""A service starts in any order with what it needs: while that is away it waits, and says so."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

from kit import background, logs
from kit.database import CONNECTION_ERRORS
from kit.errors import Misconfigured, ServiceUnavailable

AGAIN_AFTER = 1.0
"""Seconds between two attempts to open what a service needs."""

Open = Callable[[], AbstractAsyncContextManager[Any]]
Waits = Callable[[str | None], None]

_log = logs.get(__name__)


class _Life:
    """One attempt after the other until a context is open; then its life until `leave` is set."""

    def __init__(self, open_context: Open, install: Callable[[Any], None], waits: Waits) -> None:
        self._open_context, self._install, self._waits = open_context, install, waits
        self.open = False
        self.tried = asyncio.Event()
        self.leave = asyncio.Event()

    async def run(self) -> None:
        while True:
            try:
                async with self._open_context() as context:
                    self.open = True
                    self._install(context)
                    self._waits(None)
                    self.tried.set()
                    await self.leave.wait()
                return
            except Exception as error:
                # Only the first attempt may show that waiting is no use: later on nobody would
                # hear of it, and what is wrong then may be right again soon.
                hopeless = not isinstance(error, (ServiceUnavailable, *CONNECTION_ERRORS))
                if self.open or (hopeless and not self.tried.is_set()):
                    raise
                reason = _reason(error)
                self._waits(reason)
                told = _log.error if hopeless else _log.warning
                told("service.waiting", reason=reason)
            self.tried.set()
            await asyncio.sleep(AGAIN_AFTER)


@asynccontextmanager
async def opened(
    open_context: Open, install: Callable[[Any], None], waits: Waits
) -> AsyncIterator[None]:
    """Opens a context and hands it to `install`; enters the block at once if something is away.

    In that case it tries again in the background, until it is open or the block is left. `waits`
    is told what for, and None when it is open.

    Raises:
        Exception: the first attempt shows that no waiting will help.
    """
    life = _Life(open_context, install, waits)
    living = asyncio.create_task(life.run())
    tried = asyncio.create_task(life.tried.wait())
    try:
        await asyncio.wait({living, tried}, return_when=asyncio.FIRST_COMPLETED)
        if living.done():
            await living
        yield
        life.leave.set()
        if life.open:
            await living
    finally:
        tried.cancel()
        await background.ended(living)


def _reason(error: Exception) -> str:
    """One line without anything of an address or a password."""
    if isinstance(error, ServiceUnavailable):
        return error.message
    return str(error) if isinstance(error, Misconfigured) else type(error).__name__
