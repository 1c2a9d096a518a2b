"""The time of an answer does not tell whether an e-mail address is known."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from auth_service import timing
from auth_service.providers import passwords
from auth_service.testing import Auth
from auth_service.timing import Times

OpenAuth = Callable[..., Awaitable[Auth]]
CALLS = sorted(timing.CALLS)


@pytest.fixture
async def confirming(open_auth: OpenAuth) -> Auth:
    plain = await open_auth(hasher=passwords.HASHER)
    await plain.register()  # its hash is that of every known account
    return await open_auth(email_confirmation=True, hasher=passwords.HASHER)


async def compare(auth: Auth, path: str, owner: Any, tries: int) -> Times:
    await timing.compare(auth, path, await timing.make_known(owner, 10), seed=1)  # warm
    known = await timing.make_known(owner, tries)
    return await timing.compare(auth, path, known, seed=2)


@pytest.mark.parametrize("path", CALLS)
async def test_a_sample_of_known_and_unknown_addresses_takes_as_long(
    confirming: Auth, owner: Any, path: str
) -> None:
    times = await compare(confirming, path, owner, 40)
    assert abs(times.larger - 0.5) < 4 * times.error


@pytest.mark.long
@pytest.mark.parametrize("path", CALLS)
async def test_a_thousand_known_and_unknown_addresses_take_as_long(
    confirming: Auth, owner: Any, path: str
) -> None:
    times = await compare(confirming, path, owner, 1000)
    assert abs(times.larger - 0.5) < 4 * times.error  # 0.05: a 55 % guess would be found


async def test_no_call_reads_every_account(confirming: Auth, owner: Any) -> None:
    async def read() -> int:
        """Rows of accounts that were read without an index."""
        await asyncio.sleep(1.2)  # a connection tells its counts once a second
        return int(await owner.fetchval(
            "select seq_tup_read from pg_stat_user_tables where relname = 'users'"
        ))  # fmt: skip

    known = await timing.make_known(owner, 2000)
    before = await read()
    for path, body in timing.CALLS.items():
        for email in (known[1000], "nobody@example.org"):
            await confirming.post(path, address="192.0.2.1", email=email, **body)
    assert await read() == before


def test_the_comparison_finds_a_difference_of_a_tenth() -> None:
    known = [1.0 + n / 1000 for n in range(1000)]
    same = Times(known, [one + 0.0005 for one in known])
    assert abs(same.larger - 0.5) < 4 * same.error
    slower = Times([one + 0.1 for one in known], known)
    assert slower.larger - 0.5 > 4 * slower.error
    assert slower.gap == pytest.approx(0.1, abs=0.01)
