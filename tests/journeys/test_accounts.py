"""Accounts through the gateway: signing out reaches every service; guests become people."""

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from installation import PASSWORD, Installation, fresh_email, sign_up, visitor

pytestmark = pytest.mark.journey

CONVERSATIONS, ME = "/api/v1/conversations", "/api/v1/auth/me"


@pytest.fixture
async def http(anyhow: Installation) -> AsyncIterator[httpx.AsyncClient]:
    async with visitor(anyhow.url) as client:
        yield client


def bearer(session: dict[str, Any]) -> dict[str, str]:
    return {"authorization": f"Bearer {session['access_token']}"}


async def test_signing_out_everywhere_reaches_every_service_within_five_seconds(
    anyhow: Installation, http: httpx.AsyncClient
) -> None:
    email = fresh_email()
    sessions = [(await sign_up(http, email))["session"]]
    for _ in range(2):
        answer = await http.post("/api/v1/auth/login", json={"email": email, "password": PASSWORD})
        sessions.append(answer.json()["session"])
    listed = await http.get("/api/v1/auth/sessions", headers=bearer(sessions[0]))
    assert len(listed.json()["items"]) == 3
    places = [
        f"{anyhow.url}{CONVERSATIONS}",
        f"{anyhow.url}{ME}",
        f"{anyhow.url_of('auth')}/api/v1/profile",
        f"{anyhow.url_of('conversation')}{CONVERSATIONS}",
    ]

    async def codes() -> set[int]:
        return {
            (await http.get(place, headers=bearer(session))).status_code
            for place in places
            for session in sessions
        }

    assert await codes() == {200}
    left = await http.post("/api/v1/auth/logout?scope=global", headers=bearer(sessions[1]))
    assert left.status_code == 204
    deadline = time.monotonic() + 5
    while await codes() != {401}:
        assert time.monotonic() < deadline
        await asyncio.sleep(0.1)
    for session in sessions:
        refused = await http.post(
            "/api/v1/auth/refresh", json={"refresh_token": session["refresh_token"]}
        )
        assert refused.status_code == 401


async def test_what_a_guest_wrote_becomes_the_persons(with_guests: Installation) -> None:
    async with visitor(with_guests.url) as http:
        guest = (await http.post("/api/v1/auth/guest")).json()
        made = await http.post(CONVERSATIONS, json={"title": "As a guest"}, headers=bearer(guest))
        assert made.status_code == 201
        path = f"{CONVERSATIONS}/{made.json()['id']}"
        assert (await http.get(ME, headers=bearer(guest))).status_code == 403
        person, other = [(await sign_up(http))["session"] for _ in range(2)]
        for session in (person, other):
            assert (await http.get(path, headers=bearer(session))).status_code == 404
        sent = {"guest_token": guest["access_token"]}
        joined = await http.post("/api/v1/auth/guest/join", json=sent, headers=bearer(person))
        assert joined.status_code == 204
        async with asyncio.timeout(5):
            while (await http.get(path, headers=bearer(person))).status_code != 200:
                await asyncio.sleep(0.1)
        assert (await http.get(path, headers=bearer(other))).status_code == 404
        taken = await http.post("/api/v1/auth/guest/join", json=sent, headers=bearer(other))
        assert (taken.status_code, taken.json()["code"]) == (409, "auth.guest_joined")
        async with asyncio.timeout(5):
            while (await http.get(path, headers=bearer(guest))).status_code != 401:
                await asyncio.sleep(0.1)
