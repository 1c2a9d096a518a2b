"""SQL of the lease that lets a person have one export at a time."""

from datetime import datetime
from uuid import UUID

from kit.database import Tx


async def is_erased(tx: Tx, person: UUID) -> bool:
    """Whether the person has erased themselves."""
    return await tx.fetchval("select medbot.is_erased($1)", person) is True


async def claim(tx: Tx, person: UUID, *, now: datetime, until: datetime) -> bool:
    """Whether no other export of the person runs; the lease is the caller's then."""
    done = await tx.execute(
        "insert into medbot.exports as e (person_id, lease_until) values ($1, $3)"
        " on conflict (person_id) do update set lease_until = excluded.lease_until"
        " where e.lease_until <= $2",
        person,
        now,
        until,
    )
    return done.endswith(" 1")


async def release(tx: Tx, person: UUID, *, until: datetime) -> None:
    """Ends the lease, unless it is another's by now."""
    await tx.execute(
        "delete from medbot.exports where person_id = $1 and lease_until = $2", person, until
    )
