"""What this service keeps for how long. Messages go by whole exchanges, and leave no trace.

A question goes with all its replies, when the youngest of them is old enough. What was made of
them goes as well: the facts of the summary that came from them, the prose that a model wrote of
the whole, and a title that nobody but the assistant gave. A conversation that is left empty, and
that nobody speaks in, is deleted like one that its person deletes.

What is chosen may be written to or called in until its lock is held, and a statement that has
waited for a lock sees the rows of other tables as they were before. So whether something may go is
asked again, in a statement of its own, once the lock is held.
"""

from collections.abc import Awaitable, Callable
from datetime import datetime
from uuid import UUID

from conversation_service.conversations import deletion
from conversation_service.upkeep import store as upkeep
from kit.database import Tx
from privacy import retention

CONVERSATIONS = 25
"""Conversations that are gone through in one transaction."""

_OLD = (
    "m.created_at < $1 and m.status <> 'streaming' and not exists (select from public.messages x"
    " where (x.reply_to = coalesce(m.reply_to, m.id) or x.id = m.reply_to)"
    " and (x.created_at >= $1 or x.status = 'streaming'))"
)
_UNCALLED = (
    "not exists (select from medbot.voice_links l where l.conversation_id = c.id"
    " and not l.ended and l.created_at >= $1)"
)
"""No call goes on in the conversation. One is over within a day, so a link that is as old as what
goes holds nothing, be it never ended."""
_EMPTY = (
    f"c.created_at < $1 and {_UNCALLED} and not exists (select from public.messages m"
    f" where m.conversation_id = c.id and not ({_OLD}))"
)
_EMPTIED = (
    f"c.created_at < $1 and {_UNCALLED} and not exists (select from public.messages m"
    " where m.conversation_id = c.id)"
)

_GUESTS_HEAD = (
    "$1::timestamptz is not null and not exists (select from medbot.feed f"
    " where f.owner_id = feed_heads.owner_id) and not exists (select from public.conversations c"
    " where c.owner_id = feed_heads.owner_id) and not medbot.has_account(owner_id)"
)
"""The last number of a guest's feed, whose entries are gone: the guest's hour is long over. A
person's stays, since one of their screens may know it."""
_PAST_DAY = "day < ($1::timestamptz at time zone 'utc')::date"


def classes(
    *, messages_days: float | None, feed_days: float, usage_days: float | None
) -> list[retention.Class]:
    """The classes in the order in which they are applied."""
    setting = "RETENTION_MESSAGES_DAYS"
    return [
        retention.Class(
            "messages", setting, messages_days, _count_messages, _unless_taken(_remove_messages)
        ),
        retention.Class(
            "conversations",
            setting,
            messages_days,
            _count_conversations,
            _unless_taken(_remove_conversation),
        ),
        retention.rows(
            "feed",
            "RETENTION_FEED_DAYS",
            feed_days,
            table="medbot.feed",
            key="owner_id, seq",
            old="created_at < $1",
        ),
        retention.rows(
            "guests_numbers",
            "RETENTION_FEED_DAYS",
            feed_days,
            table="medbot.feed_heads",
            key="owner_id",
            old=_GUESTS_HEAD,
        ),
        retention.rows(
            "usage",
            "RETENTION_USAGE_DAYS",
            usage_days,
            table="medbot.usage",
            key="day, owner_id, service, provider, model",
            old=_PAST_DAY,
        ),
        retention.rows(
            "spending",
            "RETENTION_USAGE_DAYS",
            usage_days,
            table="medbot.spending",
            key="day, owner_id",
            old=_PAST_DAY,
        ),
    ]


def _unless_taken(take: Callable[[Tx, datetime], Awaitable[int | None]]) -> retention.Remove:
    """Chooses anew where others have written to all that was chosen before its locks were held.

    `take` answers how many rows went, None when there was nothing to choose. Nothing stays locked
    of a choice that came to nothing, since the next one may wait for locks again. What was written
    to is not chosen again, so this ends.
    """

    async def remove(tx: Tx, before: datetime) -> int:
        while True:
            attempt = tx.transaction()
            await attempt.start()
            taken = await take(tx, before)
            if taken != 0:
                await attempt.commit()
                return taken or 0
            await attempt.rollback()

    return remove


async def _count_messages(tx: Tx, before: datetime) -> int:
    counted = f"select count(*) from public.messages m where {_OLD}"  # noqa: S608 ours
    found: int = await tx.fetchval(counted, before)
    return found


async def _remove_messages(tx: Tx, before: datetime) -> int | None:
    """Locks conversations before their messages, as every writer does."""
    rows = await tx.fetch(
        "select id from public.conversations where id in (select m.conversation_id"  # noqa: S608
        f" from public.messages m where {_OLD} order by m.created_at limit {CONVERSATIONS})"
        " order by id for update",
        before,
    )
    if not rows:
        return None
    removed = 0
    for row in rows:
        removed += await _thin_out(tx, row["id"], before)
    return removed


async def _thin_out(tx: Tx, conversation_id: UUID, before: datetime) -> int:
    done = await tx.execute(
        "delete from public.messages where id in (select m.id"  # noqa: S608 ours
        f" from public.messages m where m.conversation_id = $2 and {_OLD})",
        before,
        conversation_id,
    )
    removed = int(done.rpartition(" ")[2])
    if removed == 0:
        return 0
    await tx.execute(
        "update public.conversation_summaries s set prose = null, written_by = null, facts ="
        " coalesce((select jsonb_agg(f.value order by f.place) from"
        "  jsonb_array_elements(s.facts) with ordinality f (value, place)"
        "  where exists (select from public.messages m where m.conversation_id = s.conversation_id"
        "   and m.seq = (f.value ->> 'seq')::bigint)), '[]')"
        " where s.conversation_id = $1",
        conversation_id,
    )
    await tx.execute(
        "update public.conversations set title = '', titled_by = null"
        " where id = $1 and titled_by = 'assistant'",
        conversation_id,
    )
    await upkeep.ask(tx, conversation_id)
    return removed


async def _count_conversations(tx: Tx, before: datetime) -> int:
    counted = f"select count(*) from public.conversations c where {_EMPTY}"  # noqa: S608 ours
    found: int = await tx.fetchval(counted, before)
    return found


async def _remove_conversation(tx: Tx, before: datetime) -> int | None:
    """One at a time: a person's feed is locked after the conversation, and no other one."""
    row = await tx.fetchrow(
        f"select c.id, c.owner_id from public.conversations c where {_EMPTIED}"  # noqa: S608 ours
        " order by c.created_at limit 1 for update",
        before,
    )
    if row is None:
        return None
    still = f"select from public.conversations c where {_EMPTIED} and c.id = $2"
    if await tx.fetchrow(still, before, row["id"]) is None:
        return 0
    return int(await deletion.delete(tx, row["owner_id"], row["id"]))
