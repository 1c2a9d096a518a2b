"""A guest has proved to be a person: what the guest made becomes the person's, all or nothing."""

from uuid import UUID

import asyncpg

from conversation_service.conversations import deletion
from conversation_service.feed import store as feed
from conversation_service.usage import store as usage
from kit.database import Tx
from kit.signals import CHANNEL


async def join(tx: Tx, guest_id: UUID, user_id: UUID) -> None:
    """Moves everything of the guest, also while a reply of theirs runs; twice does no more.

    A person whose account is gone by now takes nothing over: what was to become theirs goes too.
    For the service's own actor.
    """
    await tx.execute("select pg_advisory_xact_lock_shared(medbot.person_lock($1))", user_id)
    held = await tx.fetch(
        "select id from public.conversations where owner_id = $1 order by id for update", guest_id
    )
    ids = [row["id"] for row in held]
    try:
        if await tx.fetchval("select medbot.is_erased($1)", user_id):
            raise asyncpg.ForeignKeyViolationError
        async with tx.transaction():
            await tx.execute(
                "update public.conversations set owner_id = $2, user_id = $2 where owner_id = $1",
                guest_id,
                user_id,
            )
    except asyncpg.ForeignKeyViolationError:
        for conversation_id in ids:
            await deletion.delete(tx, guest_id, conversation_id)
        await feed.forget(tx, guest_id)
        return
    await _move_keys(tx, guest_id, user_id)
    await _move_feed(tx, guest_id, user_id)
    await usage.join(tx, guest_id, user_id)
    for conversation_id in ids:
        ref = {"conversation_id": conversation_id}
        await feed.append(tx, user_id, "conversation.changed", ref)


async def _move_keys(tx: Tx, guest_id: UUID, user_id: UUID) -> None:
    """Keys that both have used stay the person's."""
    await tx.execute(
        "delete from medbot.idempotency_keys g where g.owner_id = $1 and exists (select"
        "  from medbot.idempotency_keys p where p.owner_id = $2 and p.key = g.key)",
        guest_id,
        user_id,
    )
    await tx.execute(
        "update medbot.idempotency_keys set owner_id = $2, digest_of = coalesce(digest_of, $1)"
        " where owner_id = $1",
        guest_id,
        user_id,
    )


async def _move_feed(tx: Tx, guest_id: UUID, user_id: UUID) -> None:
    """The guest's entries follow the person's own, in their order, under new numbers."""
    await tx.execute(
        "with taken as (delete from medbot.feed where owner_id = $1"
        "   returning seq, type, ref, created_at),"
        " many as (select count(*) as n from taken),"
        " head as (insert into medbot.feed_heads as h (owner_id, seq)"
        "   select $2, n from many where n > 0 on conflict (owner_id)"
        "   do update set seq = h.seq + excluded.seq returning seq),"
        " entries as (insert into medbot.feed (owner_id, seq, type, ref, created_at)"
        "   select $2, head.seq - many.n + row_number() over (order by t.seq), t.type, t.ref,"
        "   t.created_at from taken t, head, many)"
        " select pg_notify($3, $4) from head",
        guest_id,
        user_id,
        CHANNEL,
        feed.topic(user_id),
    )
    await feed.forget(tx, guest_id)
