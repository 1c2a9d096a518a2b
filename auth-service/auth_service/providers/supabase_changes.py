"""SQL of what a Supabase project has yet to be told of an account.

A change is noted in the transaction that makes it here, and told after that has committed. Who
tells it holds a lease meanwhile, so that an older word never overtakes a newer one.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from kit.database import Tx
from kit.identity import Role

LEASE = timedelta(seconds=15)
"""Longer than one call to the project may take: a lease that is over was its holder's last."""


@dataclass(frozen=True, slots=True)
class Change:
    """What is to be told; None stays as it is."""

    version: UUID
    roles: tuple[Role, ...] | None
    locked: bool | None
    told_until: datetime


async def note(
    tx: Tx,
    user_id: UUID,
    *,
    roles: Iterable[Role] | None = None,
    locked: bool | None = None,
    now: datetime,
) -> None:
    """From now on this is to be told, with what was noted before and is not told yet."""
    await tx.execute(
        "insert into medbot.account_changes as c (user_id, roles, locked, made_at)"
        " values ($1, $2, $3, $4) on conflict (user_id) do update set"
        " roles = coalesce(excluded.roles, c.roles),"
        " locked = coalesce(excluded.locked, c.locked), version = excluded.version",
        user_id,
        sorted(roles) if roles is not None else None,
        locked,
        now,
    )


async def lease(tx: Tx, user_id: UUID, *, now: datetime) -> Change | None:
    """What is to be told of somebody; None when there is nothing, or another is telling it."""
    row = await tx.fetchrow(
        "update medbot.account_changes set told_until = $2::timestamptz + $3::interval"
        " where user_id = $1 and (told_until is null or told_until <= $2::timestamptz)"
        " returning version, roles, locked, told_until",
        user_id,
        now,
        LEASE,
    )
    if row is None:
        return None
    roles = tuple(Role(each) for each in row["roles"]) if row["roles"] is not None else None
    return Change(row["version"], roles, row["locked"], row["told_until"])


async def settle(tx: Tx, user_id: UUID, told: Change) -> None:
    """It was told; what was noted meanwhile stays, for whoever comes next."""
    await tx.execute(
        "delete from medbot.account_changes where user_id = $1 and version = $2",
        user_id,
        told.version,
    )
    await give_back(tx, user_id, told)


async def give_back(tx: Tx, user_id: UUID, taken: Change) -> None:
    """Ends a lease early."""
    await tx.execute(
        "update medbot.account_changes set told_until = null"
        " where user_id = $1 and told_until = $2",
        user_id,
        taken.told_until,
    )


async def wanted_roles(tx: Tx, user_id: UUID) -> frozenset[Role] | None:
    """The roles that the project has yet to be told; None when it knows them."""
    named = await tx.fetchval(
        "select roles from medbot.account_changes where user_id = $1", user_id
    )
    return frozenset(Role(each) for each in named) if named is not None else None


async def untold(tx: Tx, *, now: datetime, limit: int) -> list[UUID]:
    """Whose changes nobody is telling, the oldest first."""
    rows = await tx.fetch(
        "select user_id from medbot.account_changes"
        " where told_until is null or told_until <= $1 order by made_at limit $2",
        now,
        limit,
    )
    return [row["user_id"] for row in rows]
