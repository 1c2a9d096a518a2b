"""Whether something on the wire is asked at all: what keeps failing is left alone for a while."""

import time
from collections.abc import Callable

import structlog

_log = structlog.stdlib.get_logger(__name__)


class Circuit:
    """Opens after `failures` in a row; then nobody asks for `pause` seconds and, once in so many
    seconds, one attempt finds out whether `upstream` answers again.

    What an upstream answers on purpose, an error too, is no failure.
    """

    def __init__(
        self,
        upstream: str,
        *,
        failures: int,
        pause: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._upstream = upstream
        self._most = failures
        self._pause = pause
        self._clock = clock
        self._failed = 0
        self._until = 0.0
        self._trying = False

    @property
    def open(self) -> bool:
        """Whether it has failed too often and has not answered since."""
        return self._failed >= self._most

    @property
    def wait(self) -> float:
        """Seconds until an attempt is due; 0 where one is, or none is needed."""
        return max(0.0, self._until - self._clock()) if self.open else 0.0

    def admits(self) -> bool:
        """Whether to ask now; where it is open, whoever is told so is the one that finds out."""
        if not self.open:
            return True
        if self.wait:
            return False
        self._trying = True
        self._until = self._clock() + self._pause
        return True

    def answered(self) -> None:
        """An answer came."""
        if self.open:
            _log.info("circuit.closed", upstream=self._upstream)
        self._failed = 0
        self._trying = False

    def failed(self) -> None:
        """It could not be reached, was too slow or broke off.

        Those that were asked before it opened, and fail after, do not put the next attempt off.
        """
        self._failed += 1
        if self._failed == self._most:
            _log.warning("circuit.opened", upstream=self._upstream, failures=self._failed)
        elif self._failed > self._most and not self._trying:
            return
        self._trying = False
        self._until = self._clock() + self._pause
