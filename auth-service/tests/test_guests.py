"""Guests: people without an account, and how what they did becomes somebody's."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any
from uuid import uuid4

import jwt
import pytest
from dirty_equals import IsInt, IsStr, IsUUID
from fastapi.routing import APIRoute, iter_route_contexts

from auth_service import main
from auth_service.guests import store
from auth_service.testing import Auth, Member
from kit.testing import FixedClock

OpenAuth = Callable[..., Awaitable[Auth]]
GUEST, JOIN = "/guest", "/guest/join"


@pytest.fixture
async def open_house(open_auth: OpenAuth) -> Auth:
    return await open_auth(allow_guests=True)


@pytest.fixture
async def alice(open_house: Auth) -> Member:
    return await open_house.register("alice@example.org")


async def come_in(auth: Auth) -> dict[str, Any]:
    answer = await auth.post(GUEST)
    assert answer.status_code == 201
    guest: dict[str, Any] = answer.json()
    return guest


async def test_a_guest_gets_a_token_for_an_hour_and_nothing_else(open_house: Auth) -> None:
    guest = await come_in(open_house)
    assert guest == {
        "guest_id": IsUUID(4), "access_token": IsStr(min_length=100), "token_type": "bearer",
        "expires_in": 3600, "expires_at": "2030-01-01T13:00:00Z",
    }  # fmt: skip
    claims = jwt.decode(guest["access_token"], options={"verify_signature": False})
    assert claims == {
        "iss": "medbot", "sub": guest["guest_id"], "aud": "authenticated", "email": "",
        "phone": "", "role": "authenticated", "session_id": IsUUID(4), "aal": "aal1",
        "app_metadata": {"roles": []}, "user_metadata": {}, "is_anonymous": True,
        "iat": IsInt, "exp": claims["iat"] + 3600,
        "amr": [{"method": "anonymous", "timestamp": claims["iat"]}],
    }  # fmt: skip
    assert (await come_in(open_house))["guest_id"] != guest["guest_id"]


async def test_there_are_guests_only_where_they_are_allowed(auth: Auth) -> None:
    answer = await auth.post(GUEST)
    assert (answer.status_code, answer.json()["code"]) == (403, "auth.no_guests")


async def test_every_call_of_accounts_is_closed_to_guests(open_house: Auth) -> None:
    token = (await come_in(open_house))["access_token"]
    asked = 0
    for context in iter_route_contexts(main.app.routes):
        route = context.original_route
        if not isinstance(route, APIRoute) or (route.openapi_extra or {}).get("security") == []:
            continue
        path = str(context.path)
        for name in ("user_id", "session_id", "person_id", "erasure_id"):
            path = path.replace(f"{{{name}}}", str(uuid4()))
        path = path.replace("{letter_id}", "1")
        if path == "/api/v1/auth/me" and "DELETE" in (route.methods or ()):
            continue  # whoever has data may erase it,
        if path == "/api/v1/auth/me/export":
            continue  # and take it along
        for method in route.methods or ():
            answer = await open_house.http.request(
                method, path, json={}, headers={"authorization": f"Bearer {token}"}
            )
            assert answer.status_code in (401, 403), (method, path, answer.status_code)
            asked += 1
    assert asked > 12


async def test_a_guest_becomes_the_person_who_shows_the_guests_token(
    open_house: Auth, alice: Member, owner: Any
) -> None:
    guest = await come_in(open_house)
    sent = {"guest_token": guest["access_token"]}
    assert (await open_house.post(JOIN, alice.access, **sent)).status_code == 204
    async with asyncio.timeout(5):
        while not (
            rows := await owner.fetch(
                "select envelope from medbot.queue where envelope::text like '%guest.joined%'"
            )
        ):
            await asyncio.sleep(0.05)
    again = await open_house.post(JOIN, alice.access, **sent)  # an answer that was lost
    assert again.status_code == 204
    await asyncio.sleep(0.2)
    assert await owner.fetchval("select count(*) from medbot.outbox") == 0
    counted = "select count(distinct event_id) from medbot.queue where envelope::text like $1"
    assert await owner.fetchval(counted, "%guest.joined%") == 1
    assert guest["guest_id"] in rows[0]["envelope"]
    assert str(alice.id) in rows[0]["envelope"]
    ended = await open_house.get("/api/v1/profile", guest["access_token"])
    assert ended.status_code == 401


async def test_nobody_takes_a_guest_that_is_somebody_elses(open_house: Auth, alice: Member) -> None:
    bob = await open_house.register("bob@example.org")
    first, other = await come_in(open_house), await come_in(open_house)
    for member, token, status, code in (
        (bob, alice.access, 422, "auth.not_a_guest"),
        (bob, bob.access, 422, "auth.not_a_guest"),
        (bob, first["guest_id"], 422, "auth.not_a_guest"),
        (bob, first["access_token"][:-3], 422, "auth.not_a_guest"),
        (bob, "", 422, "auth.not_a_guest"),
    ):
        answer = await open_house.post(JOIN, member.access, guest_token=token)
        assert (answer.status_code, answer.json()["code"]) == (status, code)
    as_guest = await open_house.post(JOIN, first["access_token"], guest_token=other["access_token"])
    assert as_guest.status_code == 403
    assert (await open_house.post(JOIN, guest_token=first["access_token"])).status_code == 401


async def test_two_who_claim_one_guest_at_once_are_not_both_right(
    open_auth: OpenAuth, open_house: Auth, alice: Member, owner: Any
) -> None:
    bob = await open_house.register("bob@example.org")
    second = await open_auth(allow_guests=True)
    guest = await come_in(open_house)
    sent = {"guest_token": guest["access_token"]}
    answers = await asyncio.gather(
        open_house.post(JOIN, alice.access, **sent), second.post(JOIN, bob.access, **sent)
    )
    codes = sorted(answer.status_code for answer in answers)
    assert codes == [204, 409]
    assert await owner.fetchval("select count(*) from medbot.joined_guests") == 1


async def test_another_instance_lets_nobody_else_join_while_it_has_not_heard(
    open_auth: OpenAuth, open_house: Auth, alice: Member
) -> None:
    bob = await open_house.register("bob@example.org")
    second = await open_auth(allow_guests=True)
    guest = await come_in(open_house)
    sent = {"guest_token": guest["access_token"]}
    assert (await open_house.post(JOIN, alice.access, **sent)).status_code == 204
    taken = await second.post(JOIN, bob.access, **sent)
    assert (taken.status_code, taken.json()["code"]) == (409, "auth.guest_joined")


async def test_a_guest_of_more_than_an_hour_ago_joins_nobody(
    open_house: Auth, alice: Member, clock: FixedClock
) -> None:
    guest = await come_in(open_house)
    clock.advance(hours=1)
    again = Member.of((await open_house.login(alice.email)).json())
    answer = await open_house.post(JOIN, again.access, guest_token=guest["access_token"])
    assert answer.json()["code"] == "auth.not_a_guest"


async def test_where_a_guest_came_from_goes_when_they_join_leave_or_a_day_has_passed(
    open_auth: OpenAuth, clock: FixedClock, owner: Any
) -> None:
    auth = await open_auth(allow_guests=True)
    person = await auth.register()
    joining, leaving, staying = [(await auth.post("/guest")).json() for _ in range(3)]
    places = await owner.fetch("select guest_id, place from medbot.guest_places")
    assert len(places) == 3
    assert len({row["place"] for row in places}) == 1, "they came from one address"
    joined = await auth.post("/guest/join", person.access, guest_token=joining["access_token"])
    assert joined.status_code == 204
    assert (await auth.delete("/api/v1/auth/me", leaving["access_token"])).status_code == 202
    left = await owner.fetch("select guest_id from medbot.guest_places")
    assert [str(row["guest_id"]) for row in left] == [staying["guest_id"]]
    clock.advance(hours=25)
    elsewhere = (await auth.post("/guest")).json()
    async with auth.context.db.transaction(auth.context.actor) as tx:
        await store.forget_old(tx, now=clock())
    kept = await owner.fetch("select guest_id, place from medbot.guest_places")
    assert [str(row["guest_id"]) for row in kept] == [elsewhere["guest_id"]]
    assert kept[0]["place"] != places[0]["place"], "another day, another number"
