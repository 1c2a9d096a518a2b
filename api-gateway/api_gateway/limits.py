"""How many requests somebody may send: an even rate with a burst of one window."""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from api_gateway import headers

WINDOW = 60.0
"""Seconds of every policy."""

MOST_KEYS = 200_000
"""Persons and addresses that are remembered in memory, at some 200 bytes each."""


class Policy:
    """At most `quota` requests in `WINDOW` for each key, after which each `interval` seconds one
    more. A quota of 0 allows any number."""

    __slots__ = ("interval", "name", "quota", "stated", "told")

    def __init__(self, name: str, quota: int) -> None:
        self.name = name
        self.quota = quota
        self.interval = WINDOW / quota if quota else 0.0
        self.stated = (b"ratelimit-policy", b'"%b";q=%d;w=%d' % (name.encode(), quota, WINDOW))
        self.told = b'"%b";r=%%d;t=%%d' % name.encode()


@dataclass(frozen=True, slots=True)
class Taken:
    """What is left: `remaining` requests now, all of them in `full_in` seconds. `wait` is 0 for a
    request that may go on, else the seconds after which one may."""

    policy: Policy
    remaining: int
    full_in: float
    wait: float = 0.0

    @property
    def pairs(self) -> headers.Pairs:
        """RateLimit and RateLimit-Policy as draft-ietf-httpapi-ratelimit-headers-10 has them."""
        left = self.policy.told % (self.remaining, math.ceil(self.full_in))
        return [self.policy.stated, (b"ratelimit", left)]


class Limiter(Protocol):
    """Counts requests. Several instances of the gateway count together where theirs is shared."""

    async def take(self, policy: Policy, key: bytes) -> Taken:
        """Takes one request of the quota of `key`, if one is left."""
        ...


class InMemory:
    """Counts in this process: one number a key, the time at which its quota is whole again.

    Of two generations of keys the older goes when the younger is full, so memory is bounded under
    a flood of addresses, and a key that is in use stays.
    """

    def __init__(
        self, *, clock: Callable[[], float] = time.monotonic, most: int = MOST_KEYS
    ) -> None:
        self._clock = clock
        self._half = most // 2
        self._young: dict[tuple[str, bytes], float] = {}
        self._old: dict[tuple[str, bytes], float] = {}

    async def take(self, policy: Policy, key: bytes) -> Taken:
        now, interval, name = self._clock(), policy.interval, (policy.name, key)
        whole_at = self._young.get(name)
        if whole_at is None:
            whole_at = self._old.get(name, now)
        after = max(whole_at, now) + interval
        wait = after - now - WINDOW
        if wait > 1e-6:  # a float's rounding is no request
            self._keep(name, whole_at)
            return Taken(policy, 0, whole_at - now, wait)
        self._keep(name, after)
        left = int((WINDOW - (after - now)) / interval + 1e-6)
        return Taken(policy, left, after - now)

    def _keep(self, name: tuple[str, bytes], whole_at: float) -> None:
        self._young[name] = whole_at
        if len(self._young) > self._half:
            self._old, self._young = self._young, {}

    def __len__(self) -> int:
        return len(self._young) + len(self._old)
