"""SQL on the feed. A number is given under the lock of its person's head row: none is skipped."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from kit.database import Tx
from kit.signals import CHANNEL


@dataclass(frozen=True, slots=True)
class Entry:
    """Something that happened; `ref` holds ids alone."""

    seq: int
    type: str
    ref: dict[str, Any]


def topic(owner_id: UUID | None) -> str:
    """The signal of a person's feed."""
    return f"feed:{owner_id}"


async def append(tx: Tx, owner_id: UUID | None, kind: str, ref: Mapping[str, object]) -> None:
    """Adds an entry and wakes the person's open screens when the transaction commits."""
    await tx.execute(
        "with head as (insert into medbot.feed_heads as h (owner_id, seq) values ($1, 1)"
        "  on conflict (owner_id) do update set seq = h.seq + 1 returning seq),"
        " entry as (insert into medbot.feed (owner_id, seq, type, ref)"
        "  select $1, seq, $2, $3 from head)"
        " select pg_notify($4, $5) from head",
        owner_id,
        kind,
        {name: str(value) for name, value in ref.items()},
        CHANNEL,
        topic(owner_id),
    )


async def bounds(tx: Tx, owner_id: UUID | None) -> tuple[int, int]:
    """The number before the oldest kept entry, and that of the newest; 0 and 0 at first."""
    row = await tx.fetchrow(
        "select coalesce(min(f.seq) - 1, h.seq) as before, h.seq as newest"
        " from medbot.feed_heads h left join medbot.feed f using (owner_id)"
        " where h.owner_id = $1 group by h.seq",
        owner_id,
    )
    return (row["before"], row["newest"]) if row else (0, 0)


async def after(tx: Tx, owner_id: UUID | None, seq: int, limit: int) -> list[Entry]:
    """Entries beyond `seq`, in order."""
    rows = await tx.fetch(
        "select seq, type, ref from medbot.feed where owner_id = $1 and seq > $2"
        " order by seq limit $3",
        owner_id,
        seq,
        limit,
    )
    return [Entry(**row) for row in rows]


async def forget(tx: Tx, owner_id: UUID | None) -> None:
    """Deletes a person's whole feed; for the service's own actor."""
    await tx.execute("delete from medbot.feed_heads where owner_id = $1", owner_id)
