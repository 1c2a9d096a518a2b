"""A reply whose writer is gone is marked when its lease ends, with what it had said."""

import asyncio
import uuid

import asyncpg
from conversing import Person, Start, Visit

from conversation_service import worker
from conversation_service.feed import store as feed
from conversation_service.replies import store as replies
from kit.database import Database
from kit.testing import Addresses, Served


async def _orphan(addresses: Addresses, person: Person, path: str, *said: str) -> str:
    """A running reply that nobody writes, as a killed process leaves it."""
    conversation, question, reply = path.rpartition("/")[2], uuid.uuid4(), uuid.uuid4()
    connection = await asyncpg.connect(addresses.owner)
    try:
        await connection.execute(
            "update public.conversations set last_seq = last_seq + 2 where id = $1", conversation
        )
        await connection.execute(
            "insert into public.messages (id, conversation_id, owner_id, seq, role, content)"
            " values ($1, $2, $3, 1, 'user', 'Hello?')",
            question,
            conversation,
            person.actor.id,
        )
        await connection.execute(
            "insert into public.messages (id, conversation_id, owner_id, seq, role, status,"
            " reply_to, lease_until) values ($1, $2, $3, 2, 'assistant', 'streaming', $4,"
            " now() + interval '1 second')",
            reply,
            conversation,
            person.actor.id,
            question,
        )
        start = 0
        for seq, text in enumerate(said):
            await connection.execute(
                "insert into medbot.reply_parts values ($1, $2, $3, $4, '[]', '[]')",
                reply,
                seq,
                start,
                text,
            )
            start += len(text)
    finally:
        await connection.close()
    return str(reply)


async def test_an_orphaned_reply_is_marked_and_keeps_its_words(
    alice: Person, addresses: Addresses
) -> None:
    path = await alice.start()
    reply = await _orphan(addresses, alice, path, "Drink ", "water")
    running = (await alice.messages(path))[-1]
    assert (running["status"], running["content"]) == ("streaming", "Drink water")
    async with alice.stream("GET", f"{path}/messages/{reply}/stream") as events:
        seen = [event async for event in events]
    assert "".join(e.json()["text"] for e in seen if e.event == "delta") == "Drink water"
    assert seen[-1].json()["code"] == "conversation.reply_failed"
    marked = (await alice.messages(path))[-1]
    assert (marked["status"], marked["content"]) == ("failed", "Drink water")


async def test_after_a_failed_reply_the_conversation_goes_on_at_once(
    service: Served, addresses: Addresses, start: Start, visit: Visit
) -> None:
    """Without waiting for the sweep: a lease of minutes sweeps every minute."""
    slow = await visit(await start(reply_lease_seconds=300.0))
    path = await slow.start()
    await _orphan(addresses, slow, path)
    assert (await slow.send(path, "What is flu?")).status_code == 409
    await asyncio.sleep(1.1)
    assert (await slow.send(path, "What is flu?")).status_code == 201
    assert [m["status"] for m in await slow.messages(path)] == [
        "complete",
        "failed",
        "complete",
        "complete",
    ]


async def test_a_sweep_never_waits_for_whoever_waits_for_it(
    addresses: Addresses, database: Database, start: Start, visit: Visit
) -> None:
    """Of two conversations of one person, a message is being sent in the second."""
    slow = await visit(await start(reply_lease_seconds=300.0))
    paths = sorted([await slow.start(), await slow.start()])
    for path in paths:
        await _orphan(addresses, slow, path, "Rest")
    await asyncio.sleep(1.1)
    async with database.transaction(slow.actor) as sending:
        place = await replies.take_places(sending, uuid.UUID(paths[1].rpartition("/")[2]), 2)
        sweeping = asyncio.create_task(worker.end_orphans(database))
        while not await sending.fetchval("select count(*) from pg_locks where not granted"):
            await asyncio.sleep(0.01)
        await feed.append(sending, slow.actor.id, "message.created", {})
    assert place == 3
    assert await sweeping == 2
    for path in paths:
        marked = (await slow.messages(path))[-1]
        assert (marked["status"], marked["content"]) == ("failed", "Rest")
