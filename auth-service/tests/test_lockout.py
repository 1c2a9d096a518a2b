"""Failed sign-ins make the next attempt wait: for known and unknown addresses alike."""

import asyncio
from datetime import timedelta
from typing import Any

import pytest

import tokens
from auth_service.lockout import gate
from auth_service.testing import PASSWORD, SERVICE_SECRET, Auth, Member
from kit.testing import FixedClock

HOME, AWAY = "203.0.113.5", "198.51.100.7"
WRONG = "wrong password"


async def fail(auth: Auth, email: str, times: int, *, address: str = AWAY) -> None:
    for _ in range(times):
        answer = await auth.login(email, WRONG, address=address)
        assert (answer.status_code, answer.json()["code"]) == (401, "auth.bad_credentials")


async def waits(auth: Auth, email: str, *, address: str = AWAY, password: str = PASSWORD) -> int:
    """Seconds that an attempt must wait."""
    answer = await auth.login(email, password, address=address)
    assert (answer.status_code, answer.json()["code"]) == (429, "auth.locked"), answer.text
    return int(answer.headers["retry-after"])


@pytest.mark.parametrize("email", ["alice@example.org", "nobody@example.org", "no address"])
async def test_the_delay_grows_the_same_for_known_and_unknown_addresses(
    auth: Auth, alice: Member, clock: FixedClock, email: str
) -> None:
    await fail(auth, email, 5)
    delays = []
    for _ in range(11):
        delays.append(await waits(auth, email, password=WRONG))
        clock.advance(seconds=delays[-1])
        await fail(auth, email, 1)
    assert delays == [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 900]
    assert await waits(auth, email) == 900


async def test_asking_during_the_delay_makes_it_no_longer(
    auth: Auth, alice: Member, clock: FixedClock
) -> None:
    await fail(auth, alice.email, 5)
    for _ in range(20):
        assert await waits(auth, alice.email) == 1
    clock.advance(seconds=1)
    assert (await auth.login(alice.email, address=AWAY)).status_code == 200
    await fail(auth, alice.email, 5)  # the right password has wiped the slate


async def test_the_delay_outlives_a_restart_and_holds_on_every_instance(
    auth: Auth, second: Auth, alice: Member
) -> None:
    await fail(auth, alice.email, 5)
    assert await waits(second, alice.email) == 1


async def test_one_person_who_fails_keeps_no_other_out(auth: Auth, alice: Member) -> None:
    bob = await auth.register("bob@example.org")
    await fail(auth, alice.email, 5)
    assert (await auth.login(bob.email, address=AWAY)).status_code == 200


async def test_attackers_elsewhere_keep_nobody_out_of_a_place_they_signed_in_from(
    auth: Auth, alice: Member, clock: FixedClock
) -> None:
    assert (await auth.login(alice.email, address=HOME)).status_code == 200
    for n in range(8):
        await fail(auth, alice.email, 4 if n < 5 else 0, address=f"192.0.2.{n}")
    assert await waits(auth, alice.email, address="192.0.2.200", password=WRONG) == 1
    assert (await auth.login(alice.email, address=HOME)).status_code == 200


async def test_many_addresses_at_one_account_wait_a_minute_at_most(
    auth: Auth, alice: Member, clock: FixedClock
) -> None:
    longest = 0
    for n in range(30):
        answer = await auth.login(alice.email, WRONG, address=f"192.0.2.{n}")
        if answer.status_code == 429:
            wait = int(answer.headers["retry-after"])
            longest = max(longest, wait)
            clock.advance(seconds=wait)
            await fail(auth, alice.email, 1, address=f"192.0.2.{n}")
    assert 32 <= longest <= 60
    clock.advance(seconds=60)
    assert (await auth.login(alice.email, address="192.0.2.99")).status_code == 200


async def test_one_address_that_tries_many_people_waits(
    auth: Auth, alice: Member, clock: FixedClock
) -> None:
    bob = await auth.register("bob@example.org")
    assert (await auth.login(bob.email, address=AWAY)).status_code == 200
    for n in range(50):
        await fail(auth, f"{n}@example.org", 1)
    assert await waits(auth, alice.email) == 1
    assert (await auth.login(bob.email, address=AWAY)).status_code == 200  # known there
    assert (await auth.login(alice.email, address=HOME)).status_code == 200


async def test_a_household_of_ipv6_counts_as_one(auth: Auth, alice: Member) -> None:
    for n in range(5):
        await fail(auth, alice.email, 1, address=f"2001:db8:1:2::{n}")
    assert await waits(auth, alice.email, address="2001:db8:1:2:ffff::1") == 1
    assert (await auth.login(alice.email, address="2001:db8:1:3::1")).status_code == 200


async def test_guesses_at_the_same_moment_learn_no_more_than_one_after_another(
    auth: Auth, second: Auth, alice: Member
) -> None:
    guesses = [WRONG] * 30 + [PASSWORD]
    answers = await asyncio.gather(
        *(
            (auth if n % 2 else second).login(alice.email, guess, address=AWAY)
            for n, guess in enumerate(guesses)
        )
    )
    codes = [answer.status_code for answer in answers]
    assert codes.count(401) == 5
    assert codes.count(429) >= 25


async def test_an_address_counts_only_from_the_gateway(auth: Auth, alice: Member) -> None:
    forged = [
        {"x-medbot-client": "192.0.2.{n}"},
        {"x-medbot-client": "192.0.2.{n}", "x-medbot-gateway": "words"},
        {
            "x-medbot-client": "192.0.2.{n}",
            "x-medbot-gateway": tokens.service_token(
                SERVICE_SECRET, caller="voice", audience="auth", now=auth.context.clock()
            ),
        },
        {
            "x-medbot-client": "192.0.2.{n}",
            "x-medbot-gateway": tokens.service_token(
                SERVICE_SECRET, caller="gateway", audience="voice", now=auth.context.clock()
            ),
        },
        {"x-real-ip": "192.0.2.{n}"},
    ]
    for n, headers in enumerate(forged):
        sent = {name: value.format(n=n) for name, value in headers.items()}
        body = {"email": alice.email, "password": WRONG}
        answer = await auth.http.post("/api/v1/auth/login", json=body, headers=sent)
        assert answer.status_code == 401
    assert (await auth.login(alice.email)).status_code == 429
    for n in range(6):  # that the proxies before us name somebody is the gateway's to believe
        sent, body = {"x-forwarded-for": f"192.0.2.{n}"}, {"email": alice.email, "password": WRONG}
        answer = await auth.http.post("/api/v1/auth/login", json=body, headers=sent)
        assert answer.status_code == 429


async def test_no_row_names_an_address_of_either_kind(
    auth: Auth, alice: Member, owner: Any
) -> None:
    await fail(auth, alice.email, 1, address=HOME)
    await auth.login(alice.email, address=HOME)
    await fail(auth, "nobody@example.org", 1, address=HOME)
    for table in ("sign_in_failures", "sign_in_places"):
        rows = [str(dict(row)) for row in await owner.fetch(f"select * from medbot.{table}")]
        assert rows
        for told in ("alice", "nobody", "example.org", HOME):
            assert told not in "".join(rows)


async def test_old_failures_and_places_are_forgotten(
    auth: Auth, alice: Member, clock: FixedClock, owner: Any
) -> None:
    await auth.login(alice.email, address=HOME)
    await fail(auth, alice.email, 5)
    clock.advance(hours=25)
    await fail(auth, alice.email, 4)  # what is a day old does not count
    clock.advance(hours=25)
    await auth.context.gate.forget_old()
    assert await owner.fetchval("select count(*) from medbot.sign_in_failures") == 0
    assert await owner.fetchval("select count(*) from medbot.sign_in_places") == 1
    clock.advance(days=180)
    await auth.context.gate.forget_old()
    assert await owner.fetchval("select count(*) from medbot.sign_in_places") == 0


def test_the_delays_are_these() -> None:
    def seconds(rule: gate.Rule, failures: int) -> float:
        return rule.delay(failures) / timedelta(seconds=1)

    assert [seconds(gate.PAIR, n) for n in (0, 4, 5, 6, 14, 15, 10_000)] == [
        0, 0, 1, 2, 512, 900, 900,
    ]  # fmt: skip
    assert [seconds(gate.ACCOUNT, n) for n in (19, 20, 26, 10_000)] == [0, 1, 60, 60]
    assert [seconds(gate.ADDRESS, n) for n in (49, 50, 10_000)] == [0, 1, 300]
