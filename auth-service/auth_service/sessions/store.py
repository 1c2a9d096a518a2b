"""SQL of the sessions that ended."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from uuid import UUID

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
