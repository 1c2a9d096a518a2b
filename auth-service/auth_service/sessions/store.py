"""SQL of the sessions that ended, and of those that are old."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from uuid import UUID

from auth_service.providers import supabase_store
from contracts.sessions import EndedSessions
from kit.database import Tx

LOCK = 7_305_110_451
PAGE = 1000
KEPT = timedelta(hours=2)
"""Longer than any access token lives, so nobody needs to hear of older ones."""


async def record(tx: Tx, session_ids: Sequence[UUID], *, now: datetime) -> None:
    """Tells every verifier; to be the transaction's last statement, since it takes one lock."""
    if not session_ids:
        return
    await tx.execute("select pg_advisory_xact_lock($1::bigint)", LOCK)
    await tx.execute("delete from medbot.ended_sessions where ended_at < $1", now - KEPT)
    await tx.execute(
        "insert into medbot.ended_sessions (session_id, ended_at) select unnest($1::uuid[]), $2",
        session_ids,
        now,
    )


async def list_after(tx: Tx, cursor: int) -> EndedSessions:
    """The next page after `cursor`."""
    rows = await tx.fetch(
        "select seq, session_id from medbot.ended_sessions where seq > $1 order by seq limit $2",
        cursor,
        PAGE,
    )
    return EndedSessions(
        session_ids=tuple(row["session_id"] for row in rows),
        cursor=rows[-1]["seq"] if rows else cursor,
        more=len(rows) == PAGE,
    )


async def count_old(tx: Tx, old: str, before: datetime) -> int:
    """How many sessions `forget` would let go; `old` is a condition with `$1` for a time."""
    counted = f"select count(*) from medbot.sessions where {old}"  # noqa: S608 ours
    found: int = await tx.fetchval(counted, before)
    return found


async def forget(tx: Tx, old: str, before: datetime, most: int) -> int:
    """Lets go of up to `most` sessions of anybody for which `old` holds; answers how many.

    A Supabase project goes on with a session until it is told otherwise, and may never have been:
    of one that was ended here its id and its end stay, for which `old` must not hold.
    """
    stays = not await supabase_store.is_own(tx)
    found: int = await tx.fetchval(
        "with old as (select id, ended_at is not null and $3 as stays"  # noqa: S608 ours
        f"  from medbot.sessions where {old} order by id limit $2 for update skip locked),"
        " stripped as (update medbot.sessions s set created_at = null, used_at = null,"
        "  network = null, program = null from old where s.id = old.id and old.stays),"
        " gone as (delete from medbot.sessions s using old where s.id = old.id and not old.stays)"
        " select count(*) from old",
        before,
        most,
        stays,
    )
    return found
