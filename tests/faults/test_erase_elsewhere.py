"""Erasing somebody who spoke, who was a guest, whom an administrator looked at."""

from uuid import UUID

import asyncpg
import httpx
import pytest
from conversing import Person
from house import WORD, House, nothing_is_left
from speaking import SESSION, Job

from auth_service.testing import PASSWORD, SERVICE_SECRET
from kit.identity import Actor

pytestmark = pytest.mark.journey


async def test_a_turn_that_comes_too_late(house: House, will: Person) -> None:
    headers = {"authorization": will.http.headers["authorization"]}
    async with httpx.AsyncClient(base_url=house.url("voice"), timeout=30) as voice:
        made = await voice.post(SESSION, json={"metadata": {"why": WORD}}, headers=headers)
        assert made.status_code == 201, made.text
        job = Job(voice, made.json()["session_id"], secret=SERVICE_SECRET)
        assert (await job.beat()).status_code == 204
        assert (await job.say("user", f"I have {WORD}.")).status_code == 204
        await house.completed(await house.erase(will))
        late = [
            await job.say("assistant", f"{WORD} is rare."),
            await job.beat("speaking"),
            await voice.post(SESSION, json={"metadata": {"why": WORD}}, headers=headers),
        ]
        assert {answer.status_code // 100 for answer in late} == {4}
    await nothing_is_left(house, will)


async def test_a_guest_who_has_just_joined(house: House, will: Person) -> None:
    async with httpx.AsyncClient(timeout=30) as http:
        came = await http.post(f"{house.url('auth')}/api/v1/auth/guest")
        assert came.status_code == 201, came.text
        token = came.json()["access_token"]
        headers = {"authorization": f"Bearer {token}"}
        url = f"{house.url('conversation')}/api/v1/conversations"
        spoken = {"title": f"My {WORD}"}
        made = await http.post(url, json=spoken, headers={**headers, "idempotency-key": "k"})
        assert made.status_code == 201, made.text
        await house.stop("conversation")
        joined = await http.post(
            f"{house.url('auth')}/api/v1/auth/guest/join",
            json={"guest_token": token},
            headers={"authorization": will.http.headers["authorization"]},
        )
        assert joined.status_code == 204, joined.text
    erasure_id = await house.erase(will)
    await house.start("conversation")
    await house.completed(erasure_id)
    await nothing_is_left(house, will)


@pytest.mark.long
async def test_a_guest_erases_what_they_said(house: House) -> None:
    async with httpx.AsyncClient(timeout=30) as http:
        came = await http.post(f"{house.url('auth')}/api/v1/auth/guest")
        token = came.json()["access_token"]
        http.headers["authorization"] = f"Bearer {token}"
        url = f"{house.url('conversation')}/api/v1/conversations"
        made = await http.post(url, json={"title": f"My {WORD}"})
        assert made.status_code == 201
        exported = await http.get(f"{house.url('auth')}/api/v1/auth/me/export")
        assert f"My {WORD}" in exported.text
        guest = Person(Actor(UUID(exported.json()["person"]), "guest"), http)
        await house.completed(await house.erase(guest))
        await nothing_is_left(house, guest)


@pytest.mark.long
async def test_the_chain_of_the_log_stays_whole_without_the_person(
    house: House, will: Person
) -> None:
    async with house.arrive("the.admin@example.org") as admin:
        owner = await asyncpg.connect(house.addresses.owner)
        await owner.execute(
            "insert into public.user_roles (user_id, role) values ($1, 'admin')", admin.actor.id
        )
        async with httpx.AsyncClient(base_url=house.url("auth"), timeout=30) as http:
            sent = {"email": "the.admin@example.org", "password": PASSWORD}
            session = (await http.post("/api/v1/auth/login", json=sent)).json()["session"]
            http.headers["authorization"] = f"Bearer {session['access_token']}"
            path = f"/api/v1/admin/people/{will.actor.id}"
            assert (await http.get(path)).status_code == 200
            before = (await http.get("/api/v1/admin/audit")).json()["items"]
            assert [str(will.actor.id)] in [entry["people"] for entry in before]
            await house.completed(await house.erase(will))
            await nothing_is_left(house, will)
            checked = (await http.get("/api/v1/admin/audit/verification")).json()
            assert (checked["whole"], checked["fault"]) == (True, None)
            after = (await http.get("/api/v1/admin/audit")).json()["items"]
            assert [None] in [entry["people"] for entry in after]
        await owner.close()
