"""SQL on `medbot.upkeep`: which conversations want a title or a newer summary."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from kit.database import Tx
from kit.signals import CHANNEL

SIGNAL = "upkeep"

STALE = 8
"""Messages that a summary may lack before it is made anew; far fewer than a prompt's turns."""

SHORT = 16
"""Up to so many messages a conversation needs no summary: all of it is told as it stands."""

ATTEMPTS = 5


@dataclass(frozen=True, slots=True)
class Wanted:
    """A conversation that somebody looks after now."""

    conversation_id: UUID
    asked_at: datetime


async def ask(tx: Tx, conversation_id: UUID) -> None:
    """Notes that a conversation wants upkeep, if it does; call it after its last message."""
    await tx.execute(
        "with wanted as (insert into medbot.upkeep (conversation_id)"
        "  select c.id from public.conversations c left join public.conversation_summaries s"
        "   on s.conversation_id = c.id where c.id = $1 and (c.titled_by is null"
        "   or (c.last_seq > $2 and c.last_seq - coalesce(s.through_seq, 0) >= $3))"
        "  on conflict (conversation_id) do update set asked_at = clock_timestamp(), attempts = 0"
        "  returning 1) select pg_notify($4, $5) from wanted",
        conversation_id,
        SHORT,
        STALE,
        CHANNEL,
        SIGNAL,
    )


async def claim(tx: Tx, lease: float, limit: int) -> list[Wanted]:
    """Takes the oldest ones that nobody looks after, for `lease` seconds; for a service's actor."""
    rows = await tx.fetch(
        "update medbot.upkeep u set lease_until = clock_timestamp() + make_interval(secs => $1),"
        " attempts = attempts + 1 where u.conversation_id in (select conversation_id"
        "  from medbot.upkeep where lease_until < clock_timestamp() order by lease_until, asked_at"
        "  limit $2 for update skip locked) returning u.conversation_id, u.asked_at",
        lease,
        limit,
    )
    return [Wanted(**row) for row in rows]


async def done(tx: Tx, wanted: Wanted) -> None:
    """Forgets a request, or frees it when it was made again meanwhile."""
    await tx.execute(
        "with gone as (delete from medbot.upkeep where conversation_id = $1 and asked_at = $2)"
        " update medbot.upkeep set lease_until = '-infinity' where conversation_id = $1"
        " and asked_at <> $2",
        wanted.conversation_id,
        wanted.asked_at,
    )


async def give_up(tx: Tx) -> int:
    """Forgets requests that failed again and again; the next message asks anew."""
    gone = await tx.execute(
        "delete from medbot.upkeep where attempts >= $1 and lease_until < clock_timestamp()",
        ATTEMPTS,
    )
    return int(gone.rpartition(" ")[2])
