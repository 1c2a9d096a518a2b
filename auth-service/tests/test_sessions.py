"""Where somebody is signed in, and ending it from elsewhere."""

import asyncio
from typing import Any
from uuid import uuid4

import pytest

from auth_service.accounts import client
from auth_service.testing import PASSWORD, Auth, Member
from kit.testing import FixedClock

SESSIONS = "/api/v1/auth/sessions"
FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"


async def sign_in(auth: Auth, email: str, address: str, user_agent: str) -> Member:
    headers = auth.through_gateway(address) | {"user-agent": user_agent}
    body = {"email": email, "password": PASSWORD}
    answer = await auth.http.post("/api/v1/auth/login", json=body, headers=headers)
    return Member.of(answer.json())


async def listed(auth: Auth, member: Member) -> list[dict[str, Any]]:
    answer = await auth.get(SESSIONS, member.access)
    assert answer.status_code == 200
    assert answer.json()["next_cursor"] is None
    items: list[dict[str, Any]] = answer.json()["items"]
    return items


async def test_sessions_tell_when_roughly_from_where_and_by_what(
    auth: Auth, alice: Member, bob: Member, clock: FixedClock
) -> None:
    clock.advance(minutes=5)
    there = await sign_in(auth, alice.email, "2001:db8:1:2::77", FIREFOX)
    clock.advance(minutes=5)
    await auth.refresh(there.refresh)
    newest, oldest = await listed(auth, alice)
    assert newest == {
        "id": newest["id"],
        "created_at": "2030-01-01T12:05:00Z",
        "used_at": "2030-01-01T12:10:00Z",
        "network": "2001:db8:1::/48",
        "program": "Firefox on Linux",
        "current": False,
    }
    assert oldest["current"]
    assert oldest["network"] == "127.0.0.0/24"
    assert [one["current"] for one in await listed(auth, there)] == [True, False]
    assert len(await listed(auth, bob)) == 1


async def test_a_session_is_ended_from_another(auth: Auth, alice: Member) -> None:
    there = await sign_in(auth, alice.email, "192.0.2.1", FIREFOX)
    other = next(one for one in await listed(auth, alice) if not one["current"])
    path = f"{SESSIONS}/{other['id']}"
    assert (await auth.delete(path, alice.access)).status_code == 204
    assert (await auth.get("/api/v1/auth/me", there.access)).status_code == 401
    assert (await auth.get("/api/v1/profile", there.access)).status_code == 401
    assert (await auth.refresh(there.refresh)).status_code == 401
    assert (await auth.get("/api/v1/auth/me", alice.access)).status_code == 200
    assert len(await listed(auth, alice)) == 1
    assert (await auth.delete(path, alice.access)).status_code == 404


async def test_ended_sessions_are_refused_by_the_other_instance_within_five_seconds(
    auth: Auth, second: Auth, alice: Member
) -> None:
    there = await sign_in(auth, alice.email, "192.0.2.1", FIREFOX)
    assert (await second.get("/api/v1/profile", there.access)).status_code == 200
    other = next(one for one in await listed(auth, alice) if not one["current"])
    await auth.delete(f"{SESSIONS}/{other['id']}", alice.access)
    assert (await second.refresh(there.refresh)).status_code == 401
    async with asyncio.timeout(5):
        while (await second.get("/api/v1/profile", there.access)).status_code != 401:
            await asyncio.sleep(0.1)


async def test_nobody_ends_or_sees_the_session_of_another(
    auth: Auth, alice: Member, bob: Member
) -> None:
    (own,) = await listed(auth, alice)
    assert (await auth.delete(f"{SESSIONS}/{own['id']}", bob.access)).status_code == 404
    assert (await auth.delete(f"{SESSIONS}/{uuid4()}", bob.access)).status_code == 404
    assert (await auth.delete(f"{SESSIONS}/x", bob.access)).status_code == 422
    assert own["id"] not in {one["id"] for one in await listed(auth, bob)}
    assert (await auth.get("/api/v1/auth/me", alice.access)).status_code == 200


async def test_one_can_end_the_session_one_is_in(auth: Auth, alice: Member) -> None:
    (own,) = await listed(auth, alice)
    assert (await auth.delete(f"{SESSIONS}/{own['id']}", alice.access)).status_code == 204
    assert (await auth.get(SESSIONS, alice.access)).status_code == 401


async def test_sessions_that_lie_unused_are_not_listed(
    auth: Auth, alice: Member, clock: FixedClock
) -> None:
    clock.advance(days=31)
    again = Member.of((await auth.login(alice.email)).json())
    assert [one["current"] for one in await listed(auth, again)] == [True]


async def test_no_row_keeps_a_whole_address_or_a_whole_user_agent(
    auth: Auth, alice: Member, owner: Any
) -> None:
    await sign_in(auth, alice.email, "203.0.113.77", FIREFOX)
    rows = str([dict(row) for row in await owner.fetch("select * from medbot.sessions")])
    assert "203.0.113.0/24" in rows
    assert "203.0.113.77" not in rows
    assert "140" not in rows


@pytest.mark.parametrize(
    ("user_agent", "program"),
    [
        (FIREFOX, "Firefox on Linux"),
        (
            "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko)"
            " Chrome/131.0.0.0 Safari/537.36 Edg/131.0.0.0",
            "Edge on Windows",
        ),
        (
            "Mozilla/5.0 (Linux; Android 14; Pixel 8) AppleWebKit/537.36 (KHTML, like Gecko)"
            " Chrome/131.0.0.0 Mobile Safari/537.36",
            "Chrome on Android",
        ),
        (
            "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15"
            " (KHTML, like Gecko) Version/17.5 Mobile/15E148 Safari/604.1",
            "Safari on iPhone",
        ),
        ("curl/8.5.0", "curl"),
        ("<script>alert(1)</script>", None),
        ("", None),
    ],
)
def test_a_program_is_told_by_its_kind(user_agent: str, program: str | None) -> None:
    assert client.program(user_agent) == program
