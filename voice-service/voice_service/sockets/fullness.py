"""Whether this process has too much to do for another call, which would break the others."""

import asyncio
import statistics
import time
from collections import deque

EVERY = 0.1
LOOKS = 30
LATE = 0.05
"""Seconds; whoever listens hears a gap when what is due comes later than that."""
BEGIN = 20
"""Calls that may begin within the looks, which tell of them only afterwards."""


class Fullness:
    """Of the last three seconds, and of longer ones where it is late.

    The median counts: one long stop is no sign of too many calls.
    """

    def __init__(self, most: float) -> None:
        self._most = most
        self._worked = deque([0.0] * LOOKS, maxlen=LOOKS)
        self._late = deque([0.0] * LOOKS, maxlen=LOOKS)
        self._began = deque([float("-inf")] * BEGIN, maxlen=BEGIN)

    @property
    def full(self) -> bool:
        """Whether the loop works for more than `most` of the time, or what is due comes late."""
        return statistics.median(self._worked) > self._most or statistics.median(self._late) > LATE

    def admit(self) -> bool:
        """Whether another call may begin, which is counted then."""
        now = time.monotonic()
        if self.full or now - self._began[0] < LOOKS * EVERY:
            return False
        self._began.append(now)
        return True

    async def watch(self) -> None:
        """Looks, in the loop's own thread, until it is cancelled."""
        while True:
            began, worked = time.monotonic(), time.thread_time()
            await asyncio.sleep(EVERY)
            took = time.monotonic() - began
            self._worked.append((time.thread_time() - worked) / took)
            self._late.append(took - EVERY)
