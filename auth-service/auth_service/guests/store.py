"""SQL of guests who became somebody."""

from datetime import datetime, timedelta
from uuid import UUID

from kit.database import Tx

KEPT = timedelta(hours=2)
"""Longer than any guest's token lives, so nobody can join one that was forgotten."""
PLACE_KEPT = timedelta(hours=24)
"""As long as calls may go on that a guest began in their hour."""


async def come(tx: Tx, guest_id: UUID, place: UUID, *, now: datetime) -> None:
    """Keeps from where a guest came."""
    await tx.execute(
        "insert into medbot.guest_places (guest_id, place, made_at) values ($1, $2, $3)"
        " on conflict do nothing",
        guest_id,
        place,
        now,
    )


async def join(tx: Tx, guest_id: UUID, user_id: UUID, *, now: datetime) -> bool:
    """Makes the guest the person's; False when the guest has an owner, or the person is gone."""
    made = await tx.fetchval(
        "insert into medbot.joined_guests (guest_id, user_id, joined_at)"
        " select $1, u.id, $3 from medbot.accounts u where u.id = $2"
        " on conflict do nothing returning 1",
        guest_id,
        user_id,
        now,
    )
    await tx.execute("delete from medbot.guest_places where guest_id = $1", guest_id)
    return made is not None


async def owner(tx: Tx, guest_id: UUID) -> UUID | None:
    """Whom the guest has become."""
    found: UUID | None = await tx.fetchval(
        "select user_id from medbot.joined_guests where guest_id = $1", guest_id
    )
    return found


async def forget_old(tx: Tx, *, now: datetime) -> None:
    """Deletes what nobody can ask for any more."""
    await tx.execute("delete from medbot.joined_guests where joined_at < $1", now - KEPT)
    await tx.execute("delete from medbot.guest_places where made_at < $1", now - PLACE_KEPT)
