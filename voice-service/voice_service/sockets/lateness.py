"""How late the event loop is: a call that began then would be broken, and break the others."""

import asyncio
import statistics
import time
from collections import deque

EVERY = 0.1
LOOKS = 30


class Lateness:
    """Of the last three seconds, and of longer ones where it is late."""

    def __init__(self) -> None:
        self._looks = deque([0.0] * LOOKS, maxlen=LOOKS)

    @property
    def seconds(self) -> float:
        """How much later than it was due a task has run at least half of the times.

        One long stop is no sign of too many calls.
        """
        return statistics.median(self._looks)

    async def watch(self) -> None:
        """Looks until it is cancelled."""
        while True:
            due = time.monotonic() + EVERY
            await asyncio.sleep(EVERY)
            self._looks.append(time.monotonic() - due)
