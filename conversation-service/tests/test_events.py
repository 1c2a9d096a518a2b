"""A person's live updates: in order, from now on or after an id, nothing of anybody else."""

import asyncio
import uuid
from typing import Any

import asyncpg
import pytest
from conversing import Person, Start, Visit
from proxy import database_behind
from pydantic import SecretStr

from contracts.events import UserRegistered
from kit import outbox
from kit.database import Database
from kit.identity import Actor
from kit.testing import Addresses, Issuer, Served, bus

EVENTS = "/api/v1/events"


async def _read(person: Person, count: int, **headers: str) -> list[Any]:
    seen: list[Any] = []
    async with (
        asyncio.timeout(15),
        person.stream("GET", EVENTS, headers=headers) as events,
    ):
        async for event in events:
            seen.append(event)
            if len(seen) == count:
                break
    return seen


async def test_both_messages_of_an_exchange_arrive_in_order(alice: Person) -> None:
    reading = asyncio.create_task(_read(alice, 2))
    await asyncio.sleep(0.3)
    path = await alice.start()
    both = (await alice.send(path, "What is flu?")).json()
    events = await reading
    assert [event.event for event in events] == ["message.created"] * 2
    assert [event.json()["ref"]["message_id"] for event in events] == [
        both["user_message"]["id"],
        both["assistant_message"]["id"],
    ]
    assert [int(event.id) for event in events] == [event.json()["seq"] for event in events]


async def test_after_an_id_nothing_is_missed_on_any_instance(
    alice: Person, bob: Person, start: Start, visit: Visit
) -> None:
    path = await alice.start()
    await bob.send(await bob.start(), "What is flu?")
    for question in ("What is flu?", "What is a cold?"):
        await alice.send(path, question)
    elsewhere = await visit(await start(), alice.actor)
    for person in (alice, elsewhere):
        events = await _read(person, 3, **{"last-event-id": "1"})
        assert [int(event.id) for event in events] == [2, 3, 4]
        assert {event.json()["ref"]["conversation_id"] for event in events} == {
            path.rpartition("/")[2]
        }


@pytest.mark.parametrize("last", ["999", "1"])
async def test_an_id_that_is_not_kept_is_told(
    alice: Person, addresses: Addresses, last: str
) -> None:
    await alice.send(await alice.start("Flu"), "What is flu?")
    connection = await asyncpg.connect(addresses.owner)
    await connection.execute("delete from medbot.feed")
    await connection.close()
    (event,) = await _read(alice, 1, **{"last-event-id": last})
    assert (event.event, event.json()) == ("reset", {"seq": 2})


async def test_an_id_that_is_no_number_is_refused(alice: Person) -> None:
    answer = await alice.http.get(EVENTS, headers={"last-event-id": "x"})
    assert answer.status_code == 422


async def test_the_stream_ends_when_the_session_does(
    service: Served, issuer: Issuer, addresses: Addresses, visit: Visit
) -> None:
    someone = await visit(service, Actor.of_person(uuid.uuid4(), session_id=uuid.uuid4()))
    assert someone.actor.session_id is not None

    async def read_to_the_end() -> int:
        async with someone.stream("GET", EVENTS) as events:
            return len([event async for event in events])

    reading = asyncio.create_task(read_to_the_end())
    await asyncio.sleep(0.3)
    issuer.end(someone.actor.session_id)
    async with asyncio.timeout(5):
        assert await reading == 0


async def _handled(database: Database) -> bool:
    """Whether every event that was sent has had its effect here."""
    async with database.transaction(Actor.of_service("auth")) as tx:
        waiting = await tx.fetchval(
            "select (select count(*) from medbot.outbox)"
            " + (select count(*) from medbot.queue where queue = 'conversation')"
        )
    return bool(waiting == 0)


async def test_a_new_account_has_its_first_entry_once(alice: Person, database: Database) -> None:
    assert alice.actor.id is not None
    for event_id in [uuid.uuid4()] * 2:
        async with database.transaction(Actor.of_service("auth")) as tx:
            event = UserRegistered(user_id=alice.actor.id)
            await outbox.emit(tx, event, source="auth", event_id=event_id)
        await bus.wait_until(lambda: _handled(database))
    await alice.http.patch(await alice.start(), json={"title": "x"})
    events = await _read(alice, 2, **{"last-event-id": "0"})
    assert [event.event for event in events] == ["account.registered", "conversation.changed"]


async def test_a_stream_that_begins_while_the_database_is_away_ends_cleanly(
    alice: Person, start: Start, visit: Visit, addresses: Addresses
) -> None:
    """Browsers come again after a clean end, and not after a cut."""
    async with database_behind(addresses.service) as (proxy, here):
        served = await start(database_url=SecretStr(here))
        elsewhere = await visit(served, alice.actor)
        assert await _read(elsewhere, 1, **{"last-event-id": "999"})
        await proxy.die()
        async with asyncio.timeout(30), elsewhere.stream("GET", EVENTS) as events:
            assert [event async for event in events] == []
        await proxy.start()
        assert await _read(elsewhere, 1, **{"last-event-id": "999"})
