"""A deleted conversation is gone from every table, even while it is being written."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import pytest
from conversing import Person, Start, Visit
from model_server import ModelServer, Pause, Say, Step
from pydantic import SecretStr

from contracts.events import ConversationDeleted, Envelope
from kit import outbox
from kit.database import Database, Tx
from kit.testing import Addresses, serve

CANARY = "quixotitis"
ASKED = f"I have {CANARY}. What is flu?"
SLOW: list[Step] = [step for n in range(40) for step in (Say(f"{CANARY}{n} "), Pause(0.05))]


@pytest.fixture
async def writer(start: Start, visit: Visit) -> AsyncIterator[tuple[Person, ModelServer]]:
    """Somebody before an instance whose model repeats the word, in titles and summaries too."""
    model = ModelServer([[Say(f"{CANARY} is no word.")]], aside=[Say(f"On {CANARY}")])
    async with serve(model.app()) as server:
        settings = {"openai_base_url": f"{server.url}/v1", "openai_api_key": SecretStr("test")}
        yield await visit(await start(**settings)), model


async def rows_with(addresses: Addresses, *wanted: str) -> dict[str, list[str]]:
    """Every row of every table, partition and view that holds one of the texts, by table."""
    connection = await asyncpg.connect(addresses.owner)
    try:
        tables = await connection.fetch(
            "select c.oid::regclass::text as name from pg_class c join pg_namespace n"
            " on n.oid = c.relnamespace where c.relkind in ('r', 'p', 'm') and n.nspname not in"
            " ('pg_catalog', 'information_schema', 'pg_toast')"
        )
        found: dict[str, list[str]] = {}
        for table in tables:
            rows = await connection.fetch(f"select t::text as row from {table['name']} t")
            held = [row["row"] for row in rows if any(text in row["row"] for text in wanted)]
            if held:
                found[table["name"]] = held
        return found
    finally:
        await connection.close()


async def settled(addresses: Addresses) -> None:
    """Until nothing is on its way or waits for upkeep."""
    connection = await asyncpg.connect(addresses.owner)
    try:
        async with asyncio.timeout(15):
            while await connection.fetchval(
                "select (select count(*) from medbot.outbox) + (select count(*) from medbot.upkeep)"
                " + (select count(*) from medbot.queue where queue = 'conversation')"
            ):
                await asyncio.sleep(0.05)
    finally:
        await connection.close()


def assert_only_notices(left: dict[str, list[str]], conversation_id: str) -> None:
    """What may still name it: that it was deleted, for other screens and other services."""
    assert set(left) <= {"medbot.feed", "medbot.queue"}, left
    for row in left.get("medbot.feed", []):
        assert "conversation.deleted" in row
    for row in left.get("medbot.queue", []):
        assert ConversationDeleted.topic in row
    assert len(left.get("medbot.feed", [])) == 1
    assert conversation_id in str(left)


async def test_every_trace_goes_with_it(
    writer: tuple[Person, ModelServer], addresses: Addresses
) -> None:
    alice, _ = writer
    keyed = {"idempotency-key": "made"}
    made = await alice.http.post(
        "/api/v1/conversations", json={"title": f"My {CANARY}"}, headers=keyed
    )
    conversation_id = made.json()["id"]
    path = f"/api/v1/conversations/{conversation_id}"
    ids = [conversation_id]
    for n in range(9):
        both = (await alice.send(path, ASKED, **{"idempotency-key": f"asked-{n}"})).json()
        ids += [both["user_message"]["id"], both["assistant_message"]["id"]]
    reply = f"{path}/messages/{ids[-1]}"
    given = {"rating": "down", "comment": CANARY}
    assert (await alice.http.post(f"{reply}/feedback", json=given)).status_code == 204
    again = await alice.http.post(f"{reply}/regenerate", headers={"idempotency-key": "again"})
    ids.append(again.json()["assistant_message"]["id"])
    await settled(addresses)
    before = await rows_with(addresses, CANARY)
    assert {"conversations", "messages", "message_feedback", "conversation_summaries"} <= {
        name.rpartition(".")[2] for name in before
    }, "or the test looks in the wrong places"
    assert (await alice.http.delete(path)).status_code == 204
    assert (await alice.http.get(path)).status_code == 404
    assert (await alice.http.delete(path)).status_code == 404
    await settled(addresses)
    assert await rows_with(addresses, CANARY) == {}
    assert_only_notices(await rows_with(addresses, *ids), conversation_id)
    fresh = await alice.http.post(
        "/api/v1/conversations", json={"title": f"My {CANARY}"}, headers=keyed
    )
    assert fresh.status_code == 201, "its key is free again"


async def test_while_a_reply_streams_and_others_read_it(
    writer: tuple[Person, ModelServer], addresses: Addresses
) -> None:
    alice, model = writer
    model.scripts = [SLOW]
    path = await alice.start()
    conversation_id = path.rpartition("/")[2]
    reading = asyncio.create_task(alice.ask(path, ASKED))
    async with asyncio.timeout(10):
        while CANARY not in json.dumps(await _contents(alice, path)):
            await asyncio.sleep(0.05)
    assert (await alice.http.delete(path)).status_code == 204
    events = await reading
    assert (events[-1].event, events[-1].json()["code"]) == ("error", "request.not_found")
    await asyncio.sleep(2.5)  # its writer would go on for so long
    await settled(addresses)
    assert await rows_with(addresses, CANARY) == {}
    ids = (conversation_id, events[0].json()["assistant_message_id"])
    assert_only_notices(await rows_with(addresses, *ids), conversation_id)


class SlowRelay:
    """Hands events to the queue of the voice service, and does not end before it may."""

    def __init__(self) -> None:
        self.holds, self.may_end = asyncio.Event(), asyncio.Event()

    async def publish(self, tx: Tx, envelopes: list[Envelope]) -> None:
        for envelope in envelopes:
            await tx.execute(
                "insert into medbot.queue (queue, event_id, envelope) values ('voice', $1, $2)",
                envelope.id,
                envelope.model_dump(mode="json"),
            )
        self.holds.set()
        await self.may_end.wait()

    async def take_one(self, db: Database) -> None:
        while not await outbox.relay_once(db, self, service="conversation"):
            await asyncio.sleep(0.002)


async def test_an_event_that_is_being_relayed_goes_too(
    writer: tuple[Person, ModelServer], addresses: Addresses, database: Database
) -> None:
    alice, _ = writer
    path = await alice.start()
    await settled(addresses)
    relay = SlowRelay()
    async with asyncio.TaskGroup() as group:
        group.create_task(relay.take_one(database))
        group.create_task(alice.send(path, "What is flu?"))
        await asyncio.wait_for(relay.holds.wait(), 10)
        deleted = group.create_task(alice.http.delete(path))
        await asyncio.sleep(0.5)
        relay.may_end.set()
    assert deleted.result().status_code == 204
    await settled(addresses)
    assert_only_notices(await rows_with(addresses, path.rpartition("/")[2]), path[-36:])


async def test_a_summary_that_is_being_made_brings_nothing_back(
    writer: tuple[Person, ModelServer], addresses: Addresses
) -> None:
    alice, model = writer
    model.aside = [Pause(1.0), Say(f"On {CANARY}")]
    path = await alice.start()
    await alice.send(path, ASKED)
    async with asyncio.timeout(10):
        while not model.asides:
            await asyncio.sleep(0.02)
    assert (await alice.http.delete(path)).status_code == 204
    await settled(addresses)
    await asyncio.sleep(1.3)
    assert await rows_with(addresses, CANARY) == {}
    assert_only_notices(await rows_with(addresses, path.rpartition("/")[2]), path[-36:])


async def test_events_that_wait_are_taken_back(
    alice: Person, addresses: Addresses, settings: Any
) -> None:
    """Also those that a consumer which is away has not had, and those that died."""
    path = await alice.start("One")
    await alice.send(path, "What is flu?")
    conversation_id = path.rpartition("/")[2]
    await settled(addresses)
    connection = await asyncpg.connect(addresses.owner)
    envelope = json.dumps({"subject": conversation_id, "data": {}})
    await connection.execute(
        "insert into medbot.queue (queue, event_id, envelope)"
        " values ('elsewhere', gen_random_uuid(), $1::text::jsonb)",
        envelope,
    )
    await connection.execute(
        "insert into medbot.dead_letters (queue, event_id, envelope, attempts, error)"
        " values ('elsewhere', gen_random_uuid(), $1::text::jsonb, 5, 'Error')",
        envelope,
    )
    await connection.close()
    await alice.http.delete(path)
    await settled(addresses)
    assert_only_notices(await rows_with(addresses, conversation_id), conversation_id)


async def _contents(person: Person, path: str) -> list[str]:
    return [message["content"] for message in (await person.messages(path))[1:]]
