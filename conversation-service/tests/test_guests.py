"""Guests talk without an account; when they get one, what they made is theirs, whenever that is."""

import asyncio
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from datetime import timedelta
from typing import Any

import asyncpg
import httpx
import jwt
import pytest
from conversing import Person, Start, Visit, text_of
from model_server import ModelServer, Pause, Say, Step
from pydantic import SecretStr

from contracts.events import GuestJoined
from conversation_service.guests import retention
from kit import outbox
from kit.database import Database
from kit.identity import Actor
from kit.testing import Addresses, Issuer, Served, make_person, serve

ROOT = "/api/v1/conversations"
FLU = "What is flu?"
Guest = Callable[[Served], Awaitable[Person]]
Join = Callable[..., Awaitable[uuid.UUID]]


@pytest.fixture
async def guest(issuer: Issuer) -> AsyncIterator[Guest]:
    """Gives somebody without an account a client to an instance."""
    async with AsyncExitStack() as stack:

        async def come(served: Served) -> Person:
            actor = Actor(uuid.uuid4(), "guest", session_id=uuid.uuid4())
            token = issuer.token(actor)
            claims = {**_claims(token), "is_anonymous": True}
            headers = {"authorization": f"Bearer {issuer.sign(claims)}"}
            client = httpx.AsyncClient(base_url=served.url, headers=headers)
            return Person(actor, await stack.enter_async_context(client))

        yield come


def _claims(token: str) -> dict[str, Any]:
    claims: dict[str, Any] = jwt.decode(token, options={"verify_signature": False})
    return claims


@pytest.fixture
def join(database: Database) -> Join:
    """The auth service says that a guest is a person; answers the id of the event."""

    async def join(guest: Actor, person: Actor, event_id: uuid.UUID | None = None) -> uuid.UUID:
        assert guest.id is not None
        assert person.id is not None
        event_id = event_id or uuid.uuid4()
        event = GuestJoined(guest_id=guest.id, user_id=person.id)
        async with database.transaction(Actor.of_service("auth")) as tx:
            await outbox.emit(tx, event, source="auth", event_id=event_id)
        return event_id

    return join


async def _has(person: Person, count: int) -> list[dict[str, Any]]:
    async with asyncio.timeout(10):
        while len(items := (await person.http.get(ROOT)).json()["items"]) != count:
            await asyncio.sleep(0.05)
    listed: list[dict[str, Any]] = items
    return listed


async def test_a_guest_talks_and_searches_and_sees_nobody_else(
    service: Served, guest: Guest, alice: Person
) -> None:
    someone, other = await guest(service), await guest(service)
    path = await someone.start("Mine")
    events = await someone.ask(path, FLU)
    assert events[-1].event == "done"
    assert [i["title"] for i in (await someone.http.get(ROOT)).json()["items"]] == ["Mine"]
    assert len((await someone.http.get(ROOT, params={"q": "flu"})).json()["items"]) == 1
    for stranger in (other, alice):
        assert (await stranger.http.get(path)).status_code == 404
        assert (await stranger.http.get(ROOT)).json()["items"] == []


async def test_who_gets_an_account_keeps_everything_once(
    service: Served, guest: Guest, alice: Person, join: Join, addresses: Addresses
) -> None:
    someone = await guest(service)
    own = await alice.start("Alice's own")
    keyed = {"idempotency-key": "first"}
    made = await someone.http.post(ROOT, json={"title": "Guest"}, headers=keyed)
    path = f"{ROOT}/{made.json()['id']}"
    both = (await someone.send(path, FLU, **{"idempotency-key": "asked"})).json()
    call = f"{path}/messages/{both['assistant_message']['id']}/feedback"
    await someone.http.post(call, json={"rating": "up"})
    event_id = await join(someone.actor, alice.actor)
    items = await _has(alice, 2)
    assert {f"{ROOT}/{item['id']}" for item in items} == {own, path}
    assert await alice.messages(path) == [both["user_message"], both["assistant_message"]]
    assert (await someone.http.get(path)).status_code == 404
    again = await alice.send(path, FLU, **{"idempotency-key": "asked"})
    assert again.json() == both, "the key is known to the person, too"
    made = await alice.http.post(ROOT, json={"title": "Guest"}, headers=keyed)
    assert f"{ROOT}/{made.json()['id']}" == path
    await join(someone.actor, alice.actor, event_id)
    await join(someone.actor, alice.actor)
    await asyncio.sleep(0.5)
    assert len(await alice.messages(path)) == 2
    connection = await asyncpg.connect(addresses.owner)
    try:
        left = await _mentions(connection, str(someone.actor.id))
        assert set(left) <= {"medbot.idempotency_keys", "medbot.queue"}, "fingerprints, events"
        rows = await connection.fetch("select user_id, owner_id from public.conversations")
        assert {tuple(row) for row in rows} == {(alice.actor.id, alice.actor.id)}
        seqs = await connection.fetch(
            "select seq from medbot.feed where owner_id = $1 order by seq", alice.actor.id
        )
        assert [row["seq"] for row in seqs] == list(range(1, len(seqs) + 1))
    finally:
        await connection.close()


async def test_a_reply_goes_on_to_its_end_while_its_guest_becomes_a_person(
    start: Start, visit: Visit, guest: Guest, join: Join
) -> None:
    script: list[Step] = [step for n in range(20) for step in (Say(f"word{n} "), Pause(0.1))]
    model = ModelServer([script])
    async with serve(model.app()) as server:
        served = await start(openai_base_url=f"{server.url}/v1", openai_api_key=SecretStr("test"))
        someone, alice = await guest(served), await visit(served)
        path = await someone.start("Guest")
        reading = asyncio.create_task(someone.ask(path, FLU))
        await asyncio.sleep(0.6)
        await join(someone.actor, alice.actor)
        await _has(alice, 1)
        events = await reading
    whole = "".join(step.text for step in script if isinstance(step, Say))
    assert (events[-1].event, text_of(events)) == ("done", whole)
    _, reply = await alice.messages(path)
    assert (reply["status"], reply["content"]) == ("complete", whole)


async def test_what_was_to_become_an_erased_persons_goes(
    service: Served, guest: Guest, join: Join, addresses: Addresses
) -> None:
    someone = await guest(service)
    await someone.send(await someone.start("Guest"), FLU)
    erased = await make_person(addresses)
    connection = await asyncpg.connect(addresses.owner)
    try:
        await connection.execute("delete from auth.users where id = $1", erased.id)
        await join(someone.actor, erased)
        async with asyncio.timeout(10):
            while await connection.fetchval("select count(*) from public.messages"):
                await asyncio.sleep(0.05)
        assert await connection.fetchval("select count(*) from public.conversations") == 0
    finally:
        await connection.close()


async def test_guests_who_never_come_back_are_forgotten(
    service: Served, guest: Guest, alice: Person, database: Database, addresses: Addresses
) -> None:
    someone, later = await guest(service), await guest(service)
    old, kept, own = await someone.start("Old"), await later.start("New"), await alice.start("Own")
    connection = await asyncpg.connect(addresses.owner)
    await connection.execute(
        "update public.conversations set updated_at = now() - interval '8 days'"
        " where title <> 'New'"
    )
    await connection.close()
    assert await retention.forget_orphans(database, timedelta(days=7)) == 1
    assert (await someone.http.get(old)).status_code == 404
    assert (await later.http.get(kept)).status_code == 200
    assert (await alice.http.get(own)).status_code == 200


async def _mentions(connection: Any, wanted: str) -> list[str]:
    """The tables that hold a text anywhere."""
    tables = await connection.fetch(
        "select schemaname || '.' || tablename as name from pg_tables"
        " where schemaname in ('public', 'medbot', 'auth')"
    )
    found = []
    for table in tables:
        row = f"select 1 from {table['name']} t where t::text like '%' || $1 || '%' limit 1"
        if await connection.fetchval(row, wanted):
            found.append(table["name"])
    return found
