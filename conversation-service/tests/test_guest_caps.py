"""Guests cost less than people, and whoever makes new ones from one address gains nothing."""

import asyncio
import time
import uuid

import httpx
import pytest
from conversing import Person, Visit
from model_server import Pause, Say
from offices import QUESTION, TOOK, Office, Open, aside, titled

from kit.identity import Actor
from kit.testing import Issuer


def _guest_token(issuer: Issuer, guest: uuid.UUID) -> str:
    now = int(time.time())
    return issuer.sign({
        "sub": str(guest), "aud": "authenticated", "role": "authenticated", "iat": now,
        "exp": now + 600, "session_id": str(uuid.uuid4()), "app_metadata": {"roles": []},
        "is_anonymous": True,
    })  # fmt: skip


async def guest_at(it: Office, issuer: Issuer, place: uuid.UUID | None) -> Person:
    """A new guest who came in from `place`."""
    guest = uuid.uuid4()
    if place is not None:
        await it.owner.execute(
            "insert into medbot.guest_places values ($1, $2, clock_timestamp())", guest, place
        )
    headers = {"authorization": f"Bearer {_guest_token(issuer, guest)}"}
    return Person(Actor(guest, "guest"), httpx.AsyncClient(base_url=it.served.url, headers=headers))


async def limited(person: Person) -> str | None:
    reply = (await person.send(await person.start("x"), QUESTION)).json()["assistant_message"]
    found: str | None = reply["limited"]
    return found


async def test_a_guest_has_a_smaller_cap_than_a_person(
    office: Open, visit: Visit, issuer: Issuer
) -> None:
    it = await office(cost_cap_person_day_usd=100_000.0, cost_cap_guest_day_usd=0.0)
    guest = await guest_at(it, issuer, uuid.uuid4())
    assert await limited(guest) == "person"
    assert await limited(await visit(it.served)) is None
    await guest.http.aclose()


@pytest.mark.parametrize("known", [True, False])
async def test_new_guests_from_one_address_bring_no_new_room(
    office: Open, visit: Visit, issuer: Issuer, known: bool
) -> None:
    cap = aside() + 2 * TOOK
    it = await office(cost_cap_address_day_usd=cap / 1e6, cost_cap_day_usd=100_000.0)
    here = uuid.uuid4() if known else None
    guests = [await guest_at(it, issuer, here) for _ in range(6)]
    said = [await limited(guest) for guest in guests]
    paid = said.count(None)
    assert 1 <= paid <= 3
    assert said == [None] * paid + ["address"] * (6 - paid)
    elsewhere = await guest_at(it, issuer, uuid.uuid4())
    assert await limited(elsewhere) is None
    assert await limited(await visit(it.served)) is None
    assert await it.spent() == await it.counted() == (paid + 2) * TOOK
    for guest in (*guests, elsewhere):
        await guest.http.aclose()


async def test_guests_together_at_one_moment_do_not_overshoot_their_address(
    office: Open, issuer: Issuer
) -> None:
    it = await office(
        [Say("Rest."), Pause(3)], cost_cap_address_day_usd=(3 * (aside() + 100_000)) / 1e6
    )
    guests = [await guest_at(it, issuer, uuid.UUID(int=7)) for _ in range(12)]
    said = await asyncio.gather(*(limited(guest) for guest in guests))
    assert said.count(None) == len(it.model.requests) == 3
    assert await it.owner.fetchval("select max(micro_usd) from medbot.spending") == 3 * TOOK
    for guest in guests:
        await guest.http.aclose()


async def test_the_title_of_a_guest_costs_nothing(office: Open, issuer: Issuer) -> None:
    it = await office(cost_cap_day_usd=100_000.0)
    guest = await guest_at(it, issuer, uuid.uuid4())
    path = await guest.start()
    await guest.send(path, QUESTION)
    assert "eadache" in await titled(guest, path)
    assert it.model.asides == []
    assert await it.counted() == TOOK
    await guest.http.aclose()
