"""How much a service is asked at once: beyond that one waits a moment, then is refused."""

import asyncio
import math
import time
from collections.abc import Callable

from api_gateway import refusals
from kit import logs

TELL_EVERY = 1.0
"""Seconds between two lines of the log about one room."""

_log = logs.get(__name__)


class Room:
    """At most `most` places; at most `waiting` wait for one, each at most `within` seconds.

    Places go round in turn. Once the first has waited for half of `within`, more come than can be
    served, and whoever came last gets the next place: the served have waited least then, and those
    who would be late in any case are the ones to be refused. `clock` is in seconds.
    """

    def __init__(
        self,
        name: str,
        most: int,
        *,
        waiting: int = 0,
        within: float = 0.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.taken = 0
        self._name = name
        self._refused = 0
        self._told = -math.inf
        self._most = most
        self._longest = waiting
        self._within = within
        self._clock = clock
        self._waiting: dict[asyncio.Future[None], float] = {}

    @property
    def waiting(self) -> int:
        """How many wait."""
        return len(self._waiting)

    def enter_now(self) -> None:
        """Takes a place; raises Overloaded when there is none."""
        if self.full:
            raise self.refusal()
        self.taken += 1

    async def enter(self) -> None:
        """Takes a place; raises Overloaded when none becomes free in time."""
        if self.taken < self._most:
            self.taken += 1
            return
        if self.crowded or not self._within:
            raise self.refusal()
        given = asyncio.get_running_loop().create_future()
        self._waiting[given] = self._clock()
        try:
            async with asyncio.timeout(self._within):
                await given
        except BaseException as ended:
            self._waiting.pop(given, None)
            if given.done() and not given.cancelled():
                self.leave()  # the place came just as its taker gave up
            if isinstance(ended, TimeoutError):
                raise self.refusal() from None
            raise

    def leave(self) -> None:
        """Gives a place back."""
        while self._waiting:
            given = self._next()
            del self._waiting[given]
            if not given.done():
                given.set_result(None)
                return
        self.taken -= 1

    def _next(self) -> asyncio.Future[None]:
        first, since = next(iter(self._waiting.items()))
        flooded = self._clock() - since >= self._within / 2
        return next(reversed(self._waiting)) if flooded else first

    @property
    def full(self) -> bool:
        """Whether every place is taken."""
        return self.taken >= self._most

    @property
    def crowded(self) -> bool:
        """Whether nobody may even wait."""
        return self.full and len(self._waiting) >= self._longest

    def refusal(self) -> refusals.Overloaded:
        """What one is told who finds no place. The log is told once a while how many they are."""
        self._refused += 1
        now = self._clock()
        if now - self._told >= TELL_EVERY:
            _log.warning("upstream.full", room=self._name, refused=self._refused)
            self._refused, self._told = 0, now
        return refusals.Overloaded()


class Place:
    """What one exchange takes: a place in a room, or in several, which are left once."""

    def __init__(self, room: Room) -> None:
        self._rooms = [room]

    def claim(self, room: Room) -> None:
        """Takes a place in `room` beside the others; raises Overloaded when there is none."""
        if room not in self._rooms:
            room.enter_now()
            self._rooms.append(room)

    def move(self, room: Room) -> None:
        """Leaves every other room for `room`; raises Overloaded when that has no place."""
        self.claim(room)
        self._rooms.remove(room)
        self.leave()
        self._rooms = [room]

    def leave(self) -> None:
        rooms, self._rooms = self._rooms, []
        for room in rooms:
            room.leave()
