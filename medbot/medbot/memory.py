"""The garbage collector of a process that serves: it must not stop the loop while people wait.

A full collection walks all that was ever imported and loaded: 0.1 to 0.3 s in which nobody is
answered. So it rests while things are loaded; what was loaded is never walked again; and what
requests leave behind is collected in larger steps. What has grown old by then is walked by the
clock: closed sockets hold their buffers in cycles, and would wait for hours to be counted as many.
"""

import asyncio
import gc
from collections.abc import Iterator
from contextlib import contextmanager

YOUNG, MIDDLE, OLD = 5_000, 20, 50
"""Objects, and times of the younger ones, after which each generation is collected."""

OLD_EVERY = 60.0
"""Seconds between two looks at all that was made since loading: some 10 ms for 75,000 objects."""


@contextmanager
def loading() -> Iterator[None]:
    """Keeps the collector from walking what is being loaded; what was loaded then stays."""
    gc.disable()
    try:
        yield
    finally:
        settle()
        gc.enable()


def settle() -> None:
    """Takes all that is there now for good: it is not walked any more."""
    gc.set_threshold(YOUNG, MIDDLE, OLD)
    gc.freeze()


async def collecting() -> None:
    """Collects what is old and held by nobody, for ever."""
    while True:
        await asyncio.sleep(OLD_EVERY)
        gc.collect()
