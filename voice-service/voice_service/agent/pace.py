"""How fast somebody may write."""

import asyncio
import time
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
        self._waiting: asyncio.Queue[str] = asyncio.Queue(WAITING)

    @property
    def idle(self) -> bool:
        """Whether none waits."""
        return self._waiting.empty()

    def put(self, text: str) -> bool:
        """Lets a message wait for its turn; False where too many do already."""
        if self._waiting.full():
            return False
        self._waiting.put_nowait(text)
        return True

    async def next(self) -> str:
        """The next message, once its turn has come; whoever stops waiting has taken none."""
        await asyncio.sleep(max(0.0, self._due - self._clock() - (BURST - 1) * EVERY))
        text = await self._waiting.get()
        self._due = max(self._due, self._clock()) + EVERY
        return text

    def rest(self) -> list[str]:
        """Takes all that wait."""
        return [self._waiting.get_nowait() for _ in range(self._waiting.qsize())]
