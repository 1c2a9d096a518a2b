"""Tasks that live as long as a service; one that ends by itself is logged and started again."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from kit import logs
from telemetry import catalogue

RESTART_AFTER = 1.0
CANCELLED_AFTER = 1.0
"""Seconds after which a task that was cancelled and goes on is cancelled again."""

_log = logs.get(__name__)


def cancellation() -> Callable[[], bool]:
    """Answers whether the running task was cancelled from now on.

    A connection that is lost may raise in place of a CancelledError, and a library that gives one
    up may raise a CancelledError that nobody asked for.
    """
    own = asyncio.current_task()
    assert own is not None
    before = own.cancelling()
    return lambda: own.cancelling() > before


@asynccontextmanager
async def running(**tasks: Callable[[], Awaitable[None]]) -> AsyncIterator[None]:
    """Runs every task until the block is left."""
    started = [asyncio.create_task(_for_ever(name, task)) for name, task in tasks.items()]
    try:
        yield
    finally:
        await ended(*started)


async def ended(*tasks: asyncio.Task[None]) -> None:
    """Cancels tasks until they have ended.

    Once may be too little: a connection that fails in that very moment raises in place of it, and
    whoever waits for a database that is away goes on.
    """
    while left := [task for task in tasks if not task.done()]:
        for task in left:
            task.cancel()
        await asyncio.wait(left, timeout=CANCELLED_AFTER)
    await asyncio.gather(*tasks, return_exceptions=True)


async def _for_ever(name: str, task: Callable[[], Awaitable[None]]) -> None:
    while True:
        cancelled = cancellation()
        try:
            await task()
        except (Exception, asyncio.CancelledError) as error:  # the next round starts afresh
            if isinstance(error, asyncio.CancelledError) and cancelled():
                raise
            catalogue.BACKGROUND_RESTARTS.add(name)
            _log.error("background.failed", task=name, **logs.failure(error))
        await asyncio.sleep(RESTART_AFTER)


async def every(seconds: float, step: Callable[[], Awaitable[object]]) -> None:
    """Calls `step` again and again; for use inside `running`."""
    while True:
        await step()
        await asyncio.sleep(seconds)
