"""A player at the far end, as its speaker sees it: what it is told, and where it must be."""

from collections.abc import Callable
from typing import Protocol

Clock = Callable[[], float]


class Player(Protocol):
    """What plays at the far end; each call returns at once.

    One reply is `begin`, then `play` and `say`, then `drain` unless it is cut, then `end`.
    """

    obeys: bool
    """Whether it stops at once on `pause`, and drops on a cut what it has not played yet."""

    @property
    def held(self) -> float:
        """Seconds of what it was given that have not left for the far end."""

    def begin(self) -> None: ...

    def play(self, pcm: bytes) -> None:
        """Samples, s16le mono at 24 kHz."""

    def say(self, sentence: str) -> None:
        """The words of what is about to be played."""

    def pause(self) -> None: ...

    def resume(self) -> None: ...

    def drain(self) -> None:
        """All of the reply was given."""

    def end(self, *, interrupted: bool) -> None:
        """The reply was played to its end, or was cut."""


class Playhead:
    """Where a player is that plays what it is given without a break; in seconds."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._position = 0.0
        self._since = clock()
        self._runs = True
        self.given = 0.0

    @property
    def position(self) -> float:
        """How much was played: never more than was given."""
        if not self._runs:
            return self._position
        return min(self.given, self._position + self._clock() - self._since)

    @property
    def ahead(self) -> float:
        """How much was given and not played yet."""
        return self.given - self.position

    def give(self, seconds: float) -> None:
        """The player gets more; where it had run dry it goes on from here."""
        self._anchor()
        self.given += seconds

    def stop(self) -> None:
        """It stands still."""
        self._anchor()
        self._runs = False

    def go(self) -> None:
        """It runs again."""
        self._anchor()
        self._runs = True

    def _anchor(self) -> None:
        self._position, self._since = self.position, self._clock()
