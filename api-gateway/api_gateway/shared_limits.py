"""Counts shared by several gateways, in Redis; while it is away each gateway counts alone."""

import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import redis.asyncio as redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from api_gateway.limits import WINDOW, InMemory, Limiter, Policy, Taken
from kit import logs

ANSWERS_WITHIN = 0.25
"""Seconds after which a request is counted here alone; nobody waits longer for a count."""
AWAY_FOR = 2.0
"""Seconds for which a Redis that did not answer is left alone."""

# The time at which a key's quota is whole again, in microseconds of Redis's own clock. Answers it
# and the clock, so that the caller's clock does not matter; a request too many changes nothing.
_TAKE = """
local now = redis.call('TIME')
local at = now[1] * 1000000 + now[2]
local whole = math.max(tonumber(redis.call('GET', KEYS[1]) or '0'), at)
local after = whole + tonumber(ARGV[1])
if after - at > tonumber(ARGV[2]) then
  return {0, whole - at, after - at - tonumber(ARGV[2])}
end
redis.call('SET', KEYS[1], string.format('%.0f', after), 'PX', math.ceil((after - at) / 1000))
return {1, after - at, 0}
"""

_log = logs.get(__name__)


@asynccontextmanager
async def open_limiter(
    url: str | None, *, clock: Callable[[], float] = time.monotonic
) -> AsyncIterator[Limiter]:
    """The limiter of one gateway or, with the address of a Redis, of all that name the same."""
    if url is None:
        yield InMemory(clock=clock)
        return
    client = redis.Redis.from_url(
        url,
        socket_timeout=ANSWERS_WITHIN,
        socket_connect_timeout=ANSWERS_WITHIN,
        retry=Retry(NoBackoff(), 0),
    )
    async with client:
        yield Shared(client, clock=clock)


class Shared:
    """Counts in Redis, where keys go by themselves when their quota is whole again."""

    def __init__(self, client: "redis.Redis", *, clock: Callable[[], float]) -> None:
        self._client = client
        self._script = client.register_script(_TAKE)
        self._clock = clock
        self._alone = InMemory(clock=clock)
        self._away_until = 0.0

    async def ping(self) -> None:
        """Raises while Redis is away."""
        await self._client.ping()

    async def take(self, policy: Policy, key: bytes) -> Taken:
        """Takes one request of the quota of `key`; of this gateway's own while Redis is away."""
        if self._clock() < self._away_until:
            return await self._alone.take(policy, key)
        try:
            granted, full_in, wait = await self._script(
                keys=[b"medbot:rate:%b:%b" % (policy.name.encode(), key)],
                args=[round(policy.interval * 1e6), round(WINDOW * 1e6)],
            )
        except (RedisError, OSError) as error:
            self._away_until = self._clock() + AWAY_FOR
            _log.warning("limits.alone", **logs.failure(error))
            return await self._alone.take(policy, key)
        full = full_in / 1e6
        if not granted:
            return Taken(policy, 0, full, max(wait / 1e6, 1e-6))
        return Taken(policy, int((WINDOW - full) / policy.interval + 1e-6), full)
