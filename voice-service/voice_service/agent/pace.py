"""How fast somebody may write."""

import asyncio
import time
from collections.abc import Callable

BURST, EVERY = 5, 1.0
"""So many messages at once, then one in so many seconds."""
WAITS = 20.0
"""Seconds that one may have to wait for its turn; who writes on meanwhile is not listened to."""


class Pace:
    """One caller's."""

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._due = clock()

    async def turn(self) -> bool:
        """Waits until the next message may be taken; False where too many wait already."""
        now = self._clock()
        self._due = max(self._due, now)
        wait = self._due - now - (BURST - 1) * EVERY
        if wait > WAITS:
            return False
        self._due += EVERY
        await asyncio.sleep(max(0.0, wait))
        return True
