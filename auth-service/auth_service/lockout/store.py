"""SQL of failed sign-ins, and of the places from which somebody signed in before."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from kit.database import Tx


@dataclass(frozen=True, slots=True)
class Counter:
    """Failures under one key, and until when they keep everybody with that key out."""

    key: bytes
    failures: int
    failed_at: datetime
    blocked_until: datetime


async def read(tx: Tx, keys: Sequence[bytes]) -> list[Counter]:
    """The counters there are."""
    rows = await tx.fetch(
        "select key, failures, failed_at, blocked_until from medbot.sign_in_failures"
        " where key = any($1::bytea[])",
        keys,
    )
    return [Counter(**row) for row in rows]


async def lock(tx: Tx, keys: Sequence[bytes], *, now: datetime) -> list[Counter]:
    """The counters, made where they are missing, held until the transaction ends.

    Attempts under one key wait for each other here, in one order of keys.
    """
    rows = await tx.fetch(
        "insert into medbot.sign_in_failures as f (key, failures, failed_at, blocked_until)"
        " select k, 0, $2, $2 from unnest($1::bytea[]) k order by k"
        " on conflict (key) do update set key = f.key"
        " returning key, failures, failed_at, blocked_until",
        keys,
        now,
    )
    return [Counter(**row) for row in rows]


async def write(tx: Tx, counters: Sequence[Counter]) -> None:
    """Sets counters that are locked."""
    await tx.execute(
        "update medbot.sign_in_failures f set failures = n.failures, failed_at = n.failed_at,"
        " blocked_until = n.blocked_until"
        " from unnest($1::bytea[], $2::int[], $3::timestamptz[], $4::timestamptz[])"
        " n (key, failures, failed_at, blocked_until) where f.key = n.key",
        [counter.key for counter in counters],
        [counter.failures for counter in counters],
        [counter.failed_at for counter in counters],
        [counter.blocked_until for counter in counters],
    )


async def delete(tx: Tx, keys: Sequence[bytes]) -> None:
    """Forgets counters."""
    await tx.execute("delete from medbot.sign_in_failures where key = any($1::bytea[])", keys)


async def is_place(tx: Tx, key: bytes) -> bool:
    """Whether the account of this pair was signed in to from its address before."""
    found = await tx.fetchval("select 1 from medbot.sign_in_places where key = $1", key)
    return found is not None


async def keep_place(tx: Tx, key: bytes, user_id: UUID, *, now: datetime) -> None:
    """Remembers a place; nothing for an account that is gone meanwhile."""
    await tx.execute(
        "insert into medbot.sign_in_places (key, user_id, seen_at)"
        " select $1, u.id, $3 from medbot.accounts u where u.id = $2"
        " on conflict (key) do update set seen_at = excluded.seen_at, user_id = excluded.user_id",
        key,
        user_id,
        now,
    )


async def forget(tx: Tx, *, failed_before: datetime, seen_before: datetime) -> None:
    """Deletes counters and places that are old."""
    await tx.execute("delete from medbot.sign_in_failures where failed_at < $1", failed_before)
    await tx.execute("delete from medbot.sign_in_places where seen_at < $1", seen_before)
