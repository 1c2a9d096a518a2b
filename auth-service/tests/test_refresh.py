"""Refresh tokens: rotation, two tabs, thieves, races."""

import asyncio
import hashlib
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest

from auth_service.providers import local, store
from auth_service.testing import Auth, Member
from kit.testing import FixedClock

NOW = datetime(2030, 1, 1, 12, tzinfo=UTC)


async def test_a_refresh_answers_new_tokens_of_the_same_session(
    auth: Auth, alice: Member, clock: FixedClock
) -> None:
    clock.advance(minutes=50)
    answer = await auth.refresh(alice.refresh)
    assert answer.status_code == 200
    again = Member.of(answer.json())
    assert again.user == alice.user
    assert again.refresh != alice.refresh
    clock.advance(minutes=20)
    assert (await auth.get("/api/v1/auth/me", alice.access)).status_code == 401
    assert (await auth.get("/api/v1/auth/me", again.access)).status_code == 200
    assert (await auth.post("/logout", again.access)).status_code == 204
    assert (await auth.refresh(again.refresh)).status_code == 401


async def test_two_tabs_may_use_one_token_within_ten_seconds(
    auth: Auth, alice: Member, clock: FixedClock
) -> None:
    first = Member.of((await auth.refresh(alice.refresh)).json())
    clock.advance(seconds=10)
    second = Member.of((await auth.refresh(alice.refresh)).json())
    assert len({alice.refresh, first.refresh, second.refresh}) == 3
    for member in (first, second):
        assert (await auth.get("/api/v1/auth/me", member.access)).status_code == 200
        assert (await auth.refresh(member.refresh)).status_code == 200


async def test_the_ten_seconds_run_from_the_first_use(
    auth: Auth, alice: Member, clock: FixedClock
) -> None:
    for seconds in (0, 6):
        clock.advance(seconds=seconds)
        assert (await auth.refresh(alice.refresh)).status_code == 200
    clock.advance(seconds=6)
    refused = await auth.refresh(alice.refresh)
    assert (refused.status_code, refused.json()["code"]) == (401, "auth.token_reused")


async def test_a_stolen_token_that_is_used_later_ends_the_whole_family(
    auth: Auth, alice: Member, clock: FixedClock
) -> None:
    elsewhere = Member.of((await auth.login(alice.email)).json())
    newest = Member.of((await auth.refresh(alice.refresh)).json())
    clock.advance(seconds=11)
    reused = await auth.refresh(alice.refresh)
    assert (reused.status_code, reused.json()["code"]) == (401, "auth.token_reused")
    after = await auth.refresh(newest.refresh)
    assert (after.status_code, after.json()["code"]) == (401, "auth.invalid_token")
    assert (await auth.get("/api/v1/auth/me", newest.access)).status_code == 401
    assert (await auth.refresh(alice.refresh)).json()["code"] == "auth.token_reused"
    assert (await auth.refresh(elsewhere.refresh)).status_code == 200


async def test_twenty_exchanges_at_once_all_succeed_and_stay_one_family(
    auth: Auth, second: Auth, alice: Member, clock: FixedClock, owner: Any
) -> None:
    answers = await asyncio.gather(
        *((auth, second)[n % 2].refresh(alice.refresh) for n in range(20))
    )
    assert {answer.status_code for answer in answers} == {200}
    tokens = {answer.json()["session"]["refresh_token"] for answer in answers}
    assert len(tokens) == 20
    assert await owner.fetchval("select count(distinct session_id) from medbot.refresh_tokens") == 1
    used = await owner.fetch("select digest from medbot.refresh_tokens where used_at is not null")
    assert [row["digest"] for row in used] == [hashlib.sha256(alice.refresh.encode()).digest()]
    clock.advance(seconds=11)
    late = await asyncio.gather(*(auth.refresh(alice.refresh) for _ in range(20)))
    assert {answer.json()["code"] for answer in late} == {"auth.token_reused"}
    assert await owner.fetchval("select count(*) from medbot.ended_sessions") == 1
    assert (await auth.refresh(tokens.pop())).status_code == 401


async def test_an_exchange_raced_by_a_sign_out_never_leaves_a_living_session(
    auth: Auth, alice: Member, owner: Any
) -> None:
    results = await asyncio.gather(
        *(auth.refresh(alice.refresh) for _ in range(5)),
        auth.post("/logout", alice.access),
        *(auth.refresh(alice.refresh) for _ in range(5)),
    )
    assert results[5].status_code == 204
    for answer in results[:5] + results[6:]:
        if answer.status_code == 200:
            member = Member.of(answer.json())
            assert (await auth.get("/api/v1/auth/me", member.access)).status_code == 401
            assert (await auth.refresh(member.refresh)).status_code == 401
    assert await owner.fetchval("select count(*) from medbot.sessions where ended_at is null") == 0


async def test_refresh_tokens_are_kept_as_digests_alone(
    auth: Auth, alice: Member, owner: Any
) -> None:
    rows = await owner.fetch("select t::text as text from medbot.refresh_tokens t")
    assert rows
    assert not any(alice.refresh in row["text"] for row in rows)
    assert len(alice.refresh) == 43


async def test_an_unknown_refresh_token_is_refused(auth: Auth) -> None:
    for token in ("", "x", "x" * 43, "'; drop table medbot.sessions; --", "\u0000", "é" * 5000):
        refused = await auth.refresh(token)
        assert (refused.status_code, refused.json()["code"]) == (401, "auth.invalid_token")


async def test_an_access_token_is_no_refresh_token(auth: Auth, alice: Member) -> None:
    assert (await auth.refresh(alice.access)).status_code == 401
    assert (await auth.get("/api/v1/auth/me", alice.refresh)).status_code == 401


async def test_old_sessions_are_forgotten_at_the_next_sign_in(
    auth: Auth, alice: Member, bob: Member, clock: FixedClock, owner: Any
) -> None:
    clock.advance(days=31)
    await auth.login(alice.email)
    users = await owner.fetch("select user_id from medbot.sessions order by created_at")
    assert [row["user_id"] for row in users] == [bob.id, alice.id]


def held(**changes: Any) -> store.HeldToken:
    rest: dict[str, Any] = {"used_at": None, "ended_at": None, "created_at": NOW} | changes
    return store.HeldToken(session_id=uuid4(), user_id=uuid4(), signed_in_at=NOW, **rest)


@pytest.mark.parametrize(
    ("token", "verdict"),
    [
        (held(), local.Verdict.GOOD),
        (held(created_at=NOW - timedelta(days=29, hours=23)), local.Verdict.GOOD),
        (held(created_at=NOW - timedelta(days=30)), local.Verdict.DEAD),
        (held(used_at=NOW - timedelta(seconds=10)), local.Verdict.GOOD),
        (held(used_at=NOW - timedelta(seconds=10.001)), local.Verdict.REUSED),
        (held(ended_at=NOW), local.Verdict.DEAD),
        (held(ended_at=NOW, used_at=NOW), local.Verdict.DEAD),
        (held(ended_at=NOW, used_at=NOW - timedelta(hours=1)), local.Verdict.REUSED),
    ],
)
def test_what_a_refresh_token_is_worth(token: store.HeldToken, verdict: local.Verdict) -> None:
    assert local.judge(token, now=NOW) is verdict


async def test_a_refresh_and_whoever_deletes_the_session_do_not_wait_in_a_ring(
    auth: Auth, alice: Member, owner: Any
) -> None:
    async with owner.transaction():
        await owner.execute("select 1 from medbot.sessions for update")
        refreshing = asyncio.create_task(auth.refresh(alice.refresh))
        waiting = "select 1 from pg_locks where not granted"
        async with asyncio.timeout(10):
            while await owner.fetchval(waiting) is None:
                await asyncio.sleep(0.01)
        await owner.execute("delete from medbot.sessions")
    assert (await refreshing).json()["code"] == "auth.invalid_token"
