"""SQL on `public.conversation_summaries`."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any
from uuid import UUID

from pydantic import TypeAdapter

from assistant import recall
from assistant.turns import Turn
from conversation_service.summaries.models import Kept
from kit.database import Tx

_facts = TypeAdapter(tuple[recall.Fact, ...])


async def get(tx: Tx, conversation_id: UUID) -> Kept:
    """The summary; an empty one if none was made yet."""
    row = await tx.fetchrow(
        "select through_seq, facts, prose, written_by, updated_at"
        " from public.conversation_summaries where conversation_id = $1",
        conversation_id,
    )
    if row is None:
        return Kept()
    return Kept(
        row["through_seq"],
        _facts.validate_python(row["facts"]),
        row["prose"],
        row["written_by"],
        row["updated_at"],
    )


async def hold(tx: Tx, conversation_id: UUID) -> bool:
    """Until the end of the transaction no message of the conversation goes, while others may
    come; whether it is there."""
    held = await tx.fetchval(
        "select 1 from public.conversations where id = $1 for key share", conversation_id
    )
    return held is not None


async def put(
    tx: Tx,
    conversation_id: UUID,
    kept: Kept,
    usage: Sequence[dict[str, Any]],
    *,
    messages: int,
) -> None:
    """Stores a summary, unless one that covers more is there or the conversation is gone.

    `messages` is how many it covered when it was made. Where some have gone since, their facts are
    left out, and so is the prose, which may be made of them.
    """
    if not await hold(tx, conversation_id):
        return
    if await covered(tx, conversation_id, kept.through) != messages:
        facts = await _still_said(tx, conversation_id, kept.facts)
        kept = Kept(kept.through, facts)
    await tx.execute(
        "insert into public.conversation_summaries as s (conversation_id, owner_id, through_seq,"
        "  facts, prose, written_by, usage) select id, owner_id, $2, $3, $4, $5, $6"
        "  from public.conversations where id = $1"
        " on conflict (conversation_id) do update set through_seq = excluded.through_seq,"
        "  facts = excluded.facts, prose = excluded.prose, written_by = excluded.written_by,"
        "  usage = s.usage || excluded.usage, updated_at = clock_timestamp()"
        "  where s.through_seq < excluded.through_seq",
        conversation_id,
        kept.through,
        [asdict(fact) for fact in kept.facts],
        kept.prose,
        kept.written_by,
        list(usage),
    )


async def _still_said(
    tx: Tx, conversation_id: UUID, facts: Sequence[recall.Fact]
) -> list[recall.Fact]:
    """Those whose message is there."""
    rows = await tx.fetch(
        "select seq from public.messages where conversation_id = $1 and seq = any($2)",
        conversation_id,
        [fact.seq for fact in facts],
    )
    there = {row["seq"] for row in rows}
    return [fact for fact in facts if fact.seq in there]


async def said(
    tx: Tx, conversation_id: UUID, *, after: int, before: int | None = None, limit: int
) -> list[recall.Said]:
    """What the person wrote between two places, oldest first."""
    rows = await tx.fetch(
        "select seq, id, content from public.messages where conversation_id = $1 and seq > $2"
        " and ($3::bigint is null or seq < $3) and role = 'user' and content <> ''"
        " order by seq limit $4",
        conversation_id,
        after,
        before,
        limit,
    )
    return [recall.Said(row["seq"], str(row["id"]), row["content"]) for row in rows]


async def last_said(
    tx: Tx, conversation_id: UUID, *, after: int, before: int, limit: int
) -> list[recall.Said]:
    """The same from the end: the newest ones before a place."""
    rows = await tx.fetch(
        "select seq, id, content from public.messages where conversation_id = $1 and seq > $2"
        " and seq < $3 and role = 'user' and content <> '' order by seq desc limit $4",
        conversation_id,
        after,
        before,
        limit,
    )
    return [recall.Said(row["seq"], str(row["id"]), row["content"]) for row in reversed(rows)]


async def turns(tx: Tx, conversation_id: UUID, *, after: int, limit: int) -> list[tuple[int, Turn]]:
    """Finished turns after a place with their own places, oldest first."""
    rows = await tx.fetch(
        "select m.seq, m.role, m.content from public.messages m where m.conversation_id = $1"
        " and m.seq > $2 and m.status in ('complete', 'interrupted') and m.role <> 'system'"
        " and m.content <> '' and m.replaced_by is null order by m.seq limit $3",
        conversation_id,
        after,
        limit,
    )
    return [(row["seq"], Turn(row["role"], row["content"])) for row in rows]


async def covered(tx: Tx, conversation_id: UUID, through: int) -> int:
    """How many messages a summary covers."""
    count: int = await tx.fetchval(
        "select count(*) from public.messages where conversation_id = $1 and seq <= $2",
        conversation_id,
        through,
    )
    return count
