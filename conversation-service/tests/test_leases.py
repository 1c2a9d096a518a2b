"""A reply whose writer is gone is marked when its lease ends, with what it had said."""

import asyncio
import uuid

import asyncpg
from conversing import Person, Start, Visit

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
