"""Whether the time of an answer tells that an e-mail address is known: for tests and benchmarks.

Every try uses an address and a client of its own, so that no delay after failures comes in between.
Known and unknown take turns in a random order, so that a busy machine is busy for both.
"""

import base64
import bisect
import math
import random
import secrets
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any

import httpx

from auth_service.testing import Auth

WRONG = "a wrong password"
CALLS: dict[str, dict[str, str]] = {
    "/login": {"password": WRONG},
    "/register": {"password": WRONG},
    "/password/forgot": {},
}
"""What is asked beside `email`."""


@dataclass(frozen=True, slots=True)
class Times:
    """Seconds of each answer, by whether the address was known."""

    known: Sequence[float]
    unknown: Sequence[float]

    @property
    def larger(self) -> float:
        """How probably an answer about a known address took longer than one about an unknown one:
        0.5 when the two cannot be told apart (the effect size of the Mann-Whitney test)."""
        ordered = sorted(self.unknown)
        won = sum(
            (bisect.bisect_left(ordered, one) + bisect.bisect_right(ordered, one)) / 2
            for one in self.known
        )
        return won / (len(self.known) * len(self.unknown))

    @property
    def error(self) -> float:
        """The standard error of `larger` if the two are the same."""
        known, unknown = len(self.known), len(self.unknown)
        return math.sqrt((known + unknown + 1) / (12 * known * unknown))

    @property
    def gap(self) -> float:
        """The largest distance between the two distributions (Kolmogorov and Smirnov)."""
        known, unknown = sorted(self.known), sorted(self.unknown)
        return max(
            abs(bisect.bisect_right(known, at) / len(known)
                - bisect.bisect_right(unknown, at) / len(unknown))
            for at in (*known, *unknown)
        )  # fmt: skip


async def make_known(owner: Any, count: int) -> list[str]:
    """Accounts straight into the database, with the parameters of one that is there and salts of
    their own; no password opens them."""
    emails = [f"{secrets.token_hex(8)}@example.org" for _ in range(count)]
    kept = await owner.fetchval("select password_hash from medbot.credentials limit 1")
    parameters = kept.rsplit("$", 2)[0]
    hashes = [f"{parameters}${_drawn(16)}${_drawn(32)}" for _ in emails]
    await owner.execute(
        "with wanted as (select gen_random_uuid() id, e, h from unnest($1::text[], $2::text[])"
        "  w (e, h)), made as (insert into auth.users (id, email) select id, e from wanted)"
        " insert into medbot.credentials (user_id, password_hash) select id, h from wanted",
        emails,
        hashes,
    )
    await owner.execute("analyze auth.users; analyze medbot.credentials")
    return emails


def _drawn(size: int) -> str:
    return base64.b64encode(secrets.token_bytes(size)).decode().rstrip("=")


async def compare(auth: Auth, path: str, known: Sequence[str], *, seed: int) -> Times:
    """Asks about every known address once, and about as many unknown ones."""
    tries = [(email, True) for email in known]
    tries += [(f"{secrets.token_hex(8)}@example.org", False) for _ in known]
    random.Random(seed).shuffle(tries)  # noqa: S311 an order, no secret
    taken: dict[bool, list[float]] = {True: [], False: []}
    expected: set[int] = set()
    for n, (email, is_known) in enumerate(tries):
        address = f"2001:db8:{n >> 16:x}:{n & 0xFFFF:x}::1"
        seconds, answer = await _timed(
            lambda email=email, address=address: auth.post(  # type: ignore[misc]
                path, address=address, email=email, **CALLS[path]
            )
        )
        expected.add(answer.status_code)
        taken[is_known].append(seconds)
    assert len(expected) == 1, f"answers differ: {expected}"
    return Times(taken[True], taken[False])


async def _timed(ask: Callable[[], Awaitable[httpx.Response]]) -> tuple[float, httpx.Response]:
    started = time.perf_counter()
    answer = await ask()
    return time.perf_counter() - started, answer
