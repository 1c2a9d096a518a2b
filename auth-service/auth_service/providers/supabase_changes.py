"""SQL of what a Supabase project has yet to be told of an account.

A change is noted in the transaction that makes it here, and told after that has committed. Who
tells it holds a lease meanwhile, so that an older word never overtakes a newer one. What tokens
carried before the project knew is refused for as long as they may live.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from auth_service.providers.directory import POWERS
from kit.database import Tx
from kit.identity import Role

LEASE = timedelta(seconds=15)
"""Longer than the project goes on with a call, also one whose caller has given up: after a lease
nothing of its holder's arrives."""

SKEW = timedelta(seconds=10)
"""By how much the project's clock may be ahead of ours."""

LONGEST_TOKEN = timedelta(days=7)
"""No project of Supabase can be set to access tokens that live longer."""


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


async def settle(tx: Tx, user_id: UUID, told: Change, *, now: datetime) -> None:
    """It was told; what was noted meanwhile stays, for whoever comes next.

    Until now the project may have put into tokens what it was to take away.
    """
    await tx.execute(
        "delete from medbot.account_changes where user_id = $1 and version = $2",
        user_id,
        told.version,
    )
    await give_back(tx, user_id, told)
    if told.roles is not None:
        await tx.execute(
            "update medbot.lost_roles set lost_at = greatest(lost_at, $2) where user_id = $1",
            user_id,
            now,
        )


async def give_back(tx: Tx, user_id: UUID, taken: Change) -> None:
    """Ends a lease early."""
    await tx.execute(
        "update medbot.account_changes set told_until = null"
        " where user_id = $1 and told_until = $2",
        user_id,
        taken.told_until,
    )


async def withhold(tx: Tx, user_id: UUID, roles: frozenset[Role], *, now: datetime) -> None:
    """From now on somebody's older tokens carry no power but those among `roles`."""
    await tx.execute(
        "delete from medbot.lost_roles where user_id = $1 and role = any($2::text[])",
        user_id,
        sorted(roles),
    )
    await tx.execute(
        "insert into medbot.lost_roles as l (user_id, role, lost_at)"
        " select $1, unnest($2::text[]), $3 on conflict (user_id, role) do update"
        " set lost_at = greatest(l.lost_at, excluded.lost_at)",
        user_id,
        sorted(POWERS - roles),
        now,
    )


async def withheld(tx: Tx, user_id: UUID, powers: frozenset[Role], *, issued_at: float) -> bool:
    """Whether one of these powers was taken from somebody and a token issued at that time, in
    seconds since 1970, carries it on. Any token may while the project has yet to be told."""
    found: bool = await tx.fetchval(
        "select exists (select from medbot.account_changes"
        "  where user_id = $1 and roles is not null and not $2::text[] <@ roles)"
        " or exists (select from medbot.lost_roles where user_id = $1 and role = any ($2)"
        "  and extract(epoch from lost_at + $3::interval) >= $4::float8)",
        user_id,
        sorted(powers),
        SKEW,
        issued_at,
    )
    return found


async def forget_old(tx: Tx, *, now: datetime) -> None:
    """Forgets which powers were taken away so long ago that no token carries them on.

    While the project has yet to be told, it puts them into new tokens.
    """
    await tx.execute(
        "delete from medbot.lost_roles l where lost_at < $1 and not exists"
        " (select from medbot.account_changes where user_id = l.user_id and roles is not null)",
        now - LONGEST_TOKEN - SKEW,
    )


async def untold(tx: Tx, *, now: datetime, limit: int) -> list[UUID]:
    """Whose changes nobody is telling, the oldest first."""
    rows = await tx.fetch(
        "select user_id from medbot.account_changes"
        " where told_until is null or told_until <= $1 order by made_at limit $2",
        now,
        limit,
    )
    return [row["user_id"] for row in rows]
