"""What this service keeps for how long: the audit log, and sign-ins that have ended."""

from datetime import datetime, timedelta
from functools import partial

from auth_service.audit import store
from auth_service.providers import local
from auth_service.sessions import store as sessions
from kit.database import Clock, Tx
from privacy import audit, retention
from privacy.audit import Seal


def classes(
    seal: Seal, clock: Clock, *, audit_days: float | None, sessions_days: float | None
) -> list[retention.Class]:
    """The classes in the order in which they are applied."""
    return [
        retention.Class(
            "audit",
            "RETENTION_AUDIT_DAYS",
            audit_days,
            _count_audit,
            partial(_remove_audit, seal, clock),
        ),
        retention.Class(
            "sessions",
            "RETENTION_SESSIONS_DAYS",
            sessions_days,
            _count_sessions,
            _remove_sessions,
        ),
    ]


_UNUSED = f"{local.REFRESH_LIFE // timedelta(days=1)} days"
"""A session that was not used for so long has ended, though nobody ended it."""

_OLD = f"(used_at is not null and ended_at < $1 or used_at < $1 - interval '{_UNUSED}')"


async def _count_sessions(tx: Tx, before: datetime) -> int:
    return await sessions.count_old(tx, _OLD, before)


async def _remove_sessions(tx: Tx, before: datetime) -> int:
    return await sessions.forget(tx, _OLD, before, retention.BATCH)


async def _count_audit(tx: Tx, before: datetime) -> int:
    return (await store.expired(tx, before))[1]


async def _remove_audit(seal: Seal, clock: Clock, tx: Tx, before: datetime) -> int:
    """Takes the oldest rows away; a signed checkpoint keeps the place where the chain begins.

    That it was done is the newest row of the log.
    """
    place, _ = await store.expired(tx, before)
    if place is None:
        return 0
    signature = seal.sign("checkpoint", place.seq, place.hash)
    removed = await store.trim(tx, place, seal.kid, signature, now=clock())
    if removed:
        record = audit.Record(tx)
        record.touched("row", place.seq)
        await audit.append(
            record,
            "audit.trim",
            "done",
            service=local.ACTOR,
            actor=None,
            seal=seal,
            clock=clock,
            kind="service",
        )
    return removed
