"""Whether a provider is asked: one that keeps failing is left alone for a while."""

import time
from collections.abc import Callable

import structlog

FAILURES = 3
PAUSE = 10.0

_log = structlog.stdlib.get_logger(__name__)


class Rest:
    """After `failures` in a row nobody asks for `pause` seconds; then, once in so many seconds, one
    question finds out whether it answers again. Nobody else waits for its deadline meanwhile."""

    def __init__(
        self,
        provider: str,
        *,
        failures: int = FAILURES,
        pause: float = PAUSE,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._provider = provider
        self._most = failures
        self._pause = pause
        self._clock = clock
        self._failed = 0
        self._until = 0.0

    @property
    def left_alone(self) -> bool:
        """Whether it has failed too often and has not answered since."""
        return self._failed >= self._most

    def may_ask(self) -> bool:
        """Whether to ask now; whoever is told so may be the one that finds out."""
        if not self.left_alone:
            return True
        if self._clock() < self._until:
            return False
        self._until = self._clock() + self._pause
        return True

    def answered(self) -> None:
        """A question was answered to its end."""
        if self.left_alone:
            _log.info("model.taken_back", provider=self._provider)
        self._failed = 0

    def failed(self) -> None:
        """It could not be reached, refused everybody, was too slow or broke off."""
        self._failed += 1
        self._until = self._clock() + self._pause
        if self._failed == self._most:
            _log.warning("model.left_alone", provider=self._provider, failures=self._failed)
