"""How fast somebody may write."""

import asyncio
import time
from collections import deque
from collections.abc import Callable

BURST, EVERY = 5, 1.0
"""So many messages at once, then one in so many seconds."""
WAITING = 25
"""Messages that may wait for their turn."""


class Pace:
    """One caller's messages in their order, each when its turn has come."""

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._due = clock()
        self._texts: deque[str] = deque()
        self._put = asyncio.Semaphore(0)

    @property
    def waiting(self) -> tuple[str, ...]:
        """Those that wait."""
        return tuple(self._texts)

    def put(self, text: str) -> bool:
        """Lets a message wait for its turn; False where too many do already."""
        if len(self._texts) >= WAITING:
            return False
        self._texts.append(text)
        self._put.release()
        return True

    async def next(self) -> str:
        """The next message, once its turn has come; whoever stops waiting has taken none."""
        await asyncio.sleep(max(0.0, self._due - self._clock() - (BURST - 1) * EVERY))
        await self._put.acquire()
        self._due = max(self._due, self._clock()) + EVERY
        return self._texts.popleft()
