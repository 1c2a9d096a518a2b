"""Whether this process has too much to do for another call, which would break the others."""

import asyncio
import statistics
import time
from collections import deque
from pathlib import Path

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
        self._wanted = deque([0.0] * LOOKS, maxlen=LOOKS)
        self._late = deque([0.0] * LOOKS, maxlen=LOOKS)
        self._began = deque([float("-inf")] * BEGIN, maxlen=BEGIN)

    @property
    def full(self) -> bool:
        """Whether the loop wants a core for over `most` of the time, or what is due comes late."""
        return statistics.median(self._wanted) > self._most or statistics.median(self._late) > LATE

    def admit(self, *, others: bool) -> bool:
        """Whether another call may begin, which is counted then. Without `others` that run,
        nobody is harmed, and what fills the loop may be the loading of the models."""
        now = time.monotonic()
        if (others and self.full) or now - self._began[0] < LOOKS * EVERY:
            return False
        self._began.append(now)
        return True

    async def watch(self) -> None:
        """Looks, in the loop's own thread, until it is cancelled."""
        while True:
            began, wanted = time.monotonic(), _core_wanted()
            await asyncio.sleep(EVERY)
            took = time.monotonic() - began
            self._wanted.append((_core_wanted() - wanted) / took)
            self._late.append(took - EVERY)


def _core_wanted() -> float:
    """Seconds for which this thread has run, or has waited for a core where that is told."""
    try:
        ran, waited, _ = Path("/proc/thread-self/schedstat").read_text().split()
    except OSError:
        return time.thread_time()
    return (int(ran) + int(waited)) / 1e9
