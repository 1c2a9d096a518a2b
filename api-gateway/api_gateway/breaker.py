"""Whether a service is asked at all: one that cannot be reached is left alone until it answers."""

import math
import time
from collections.abc import Callable
from enum import StrEnum

from api_gateway import refusals
from kit import logs

_log = logs.get(__name__)


class State(StrEnum):
    """CLOSED lets requests through, OPEN refuses them, HALF_OPEN refuses while one probe is out."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half-open"


class Breaker:
    """Opens after `failures` exchanges in a row that failed on the way; `pause` seconds later a
    probe, which is no request of anybody, may close it.

    What a service answers on purpose, an error too, is no failure.
    """

    def __init__(
        self,
        service: str,
        *,
        failures: int,
        pause: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.state = State.CLOSED
        self._service = service
        self._most = failures
        self._pause = pause
        self._clock = clock
        self._failed = 0
        self._probe_at = 0.0

    def admit(self) -> None:
        """Raises CircuitOpen unless the service may be asked."""
        if self.state is not State.CLOSED:
            raise refusals.CircuitOpen(max(1, math.ceil(self._probe_at - self._clock())))

    def succeeded(self) -> None:
        """An exchange brought an answer."""
        if self.state is State.CLOSED:
            self._failed = 0

    def failed(self) -> None:
        """An exchange was refused, timed out or broke off before its answer."""
        self._failed += 1
        if self.state is State.CLOSED and self._failed >= self._most:
            self._open()

    def begin_probe(self) -> bool:
        """Whether it is time for a probe; who is told so owes a call of `probed`."""
        if self.state is not State.OPEN or self._clock() < self._probe_at:
            return False
        self.state = State.HALF_OPEN
        return True

    def probed(self, *, answered: bool) -> None:
        """What the probe came to."""
        if not answered:
            self._open()
            return
        self.state = State.CLOSED
        self._failed = 0
        _log.info("circuit.closed", service=self._service)

    def _open(self) -> None:
        if self.state is State.CLOSED:
            _log.warning("circuit.opened", service=self._service, failures=self._failed)
        self.state = State.OPEN
        self._probe_at = self._clock() + self._pause
