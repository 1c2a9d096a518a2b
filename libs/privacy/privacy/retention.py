"""Retention: how long rows of a class are kept, and the daily work that lets older ones go.

A service names its classes as data. What a dry run counts is what goes: both ask the same
question. Batches are transactions of their own, so a crash loses nothing but time.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from kit import background, logs
from kit.database import CONNECTION_ERRORS, Clock, Database, Tx
from kit.errors import ServiceUnavailable
from kit.identity import Actor

DAY = 86_400.0
BATCH = 500
PAUSE = 0.05
"""Seconds between two batches, in which others get their turn."""

_log = logs.get(__name__)


Count = Callable[[Tx, datetime], Awaitable[int]]
Remove = Callable[[Tx, datetime], Awaitable[int]]


@dataclass(frozen=True, slots=True)
class Class:
    """Rows of one kind; `days` None keeps them for ever.

    `count` answers how many rows are older than a time; `remove` takes some of them away and
    answers how many those were, 0 when none is left.
    """

    name: str
    setting: str
    days: float | None
    count: Count
    remove: Remove


@dataclass(frozen=True, slots=True)
class Due:
    """What goes now of a class: `rows` that are older than `before`."""

    name: str
    setting: str
    days: float | None
    before: datetime | None
    rows: int


def rows(name: str, setting: str, days: float | None, *, table: str, key: str, old: str) -> Class:
    """A class of plain rows with the columns `key`; `old` is a condition with `$1` for a time."""

    async def count(tx: Tx, before: datetime) -> int:
        counted = f"select count(*) from {table} where {old}"  # noqa: S608 ours
        found: int = await tx.fetchval(counted, before)
        return found

    async def remove(tx: Tx, before: datetime) -> int:
        done = await tx.execute(
            f"delete from {table} where ({key}) in"  # noqa: S608 ours
            f" (select {key} from {table} where {old} order by {key} limit {BATCH} for update)",
            before,
        )
        return int(done.rpartition(" ")[2])

    return Class(name, setting, days, count, remove)


async def due(db: Database, actor: Actor, classes: Sequence[Class], *, now: datetime) -> list[Due]:
    """What would go now, class by class."""
    found = []
    for each in classes:
        before = None if each.days is None else now - timedelta(days=each.days)
        count = 0
        if before is not None:
            async with db.transaction(actor) as tx:
                count = await each.count(tx, before)
        found.append(Due(each.name, each.setting, each.days, before, count))
    return found


async def apply(
    db: Database, actor: Actor, classes: Sequence[Class], *, now: datetime
) -> dict[str, int]:
    """Lets go of what is too old; answers how many rows of each class those were.

    Of several instances one is at it at a time; the others leave it to that one.
    """
    gone = {each.name: 0 for each in classes if each.days is not None}
    for each in classes:
        while each.days is not None:
            async with db.transaction(actor) as tx:
                if not await _only_one(tx, actor):
                    return gone
                removed = await each.remove(tx, now - timedelta(days=each.days))
            gone[each.name] += removed
            if removed == 0:
                break
            await asyncio.sleep(PAUSE)
    return gone


async def _only_one(tx: Tx, actor: Actor) -> bool:
    taken: bool = await tx.fetchval(
        "select pg_try_advisory_xact_lock(hashtextextended('medbot.retention:' || $1, 0))",
        actor.service,
    )
    return taken


async def daily(db: Database, actor: Actor, classes: Sequence[Class], clock: Clock) -> None:
    """Applies at the start and once a day, until cancelled."""

    async def once() -> None:
        try:
            gone = await apply(db, actor, classes, now=clock())
        except (*CONNECTION_ERRORS, ServiceUnavailable) as error:
            _log.warning("retention.waiting", **logs.failure(error))
            return
        if any(gone.values()):
            _log.info("retention.applied", **gone)

    await background.every(DAY, once)
