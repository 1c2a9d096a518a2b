"""The bus over PostgreSQL: a table of waiting events, woken by NOTIFY."""

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from contracts.events import Envelope, Event
from kit import database, logs
from kit.bus import Handler, Retries
from kit.bus.handling import HANDLE_WITHIN, attempt
from kit.database import CONNECTION_ERRORS, Database, Tx
from kit.errors import ServiceUnavailable
from kit.identity import Actor
from kit.outbox import BY_INDEX
from kit.signals import CHANNEL, Signals

BATCH = 10
"""Events of one turn; its lock and connection are held while they are handled."""

IDLE_WITHIN = BATCH * HANDLE_WITHIN + database.IDLE_WITHIN
"""Seconds in which the transaction of a turn may wait for the handlers."""

_log = logs.get(__name__)


class PostgresBus:
    """Queues as rows of `medbot.queue`; `subscriptions` says which queue wants which events."""

    def __init__(
        self,
        db: Database,
        signals: Signals,
        *,
        service: str,
        subscriptions: Mapping[str, tuple[type[Event], ...]],
        retries: Retries | None = None,
    ) -> None:
        self._db = db
        self._signals = signals
        self._actor = Actor.of_service(service)
        self._retries = retries or Retries()
        self._queues: dict[str, list[str]] = {}
        for queue, events in subscriptions.items():
            for event in events:
                self._queues.setdefault(event.topic, []).append(queue)

    async def ping(self) -> None:
        """Raises while the database is away."""
        await self._db.ping()

    async def waiting(self) -> dict[str, int]:
        """How many events wait in each queue."""
        async with self._db.transaction(self._actor) as tx:
            rows = await tx.fetch("select queue, count(*) as n from medbot.queue group by queue")
        wanted = {queue for queues in self._queues.values() for queue in queues}
        return dict.fromkeys(sorted(wanted), 0) | {row["queue"]: row["n"] for row in rows}

    async def publish(self, tx: Tx, envelopes: list[Envelope]) -> None:
        """Moves events to their queues inside the relay's own transaction."""
        rows = [
            (queue, envelope.id, envelope.model_dump(mode="json"))
            for envelope in envelopes
            for queue in self._queues.get(envelope.type, ())
        ]
        await tx.executemany(
            "insert into medbot.queue (queue, event_id, envelope) values ($1, $2, $3)"
            " on conflict (queue, event_id) do nothing",
            rows,
        )
        for queue in {row[0] for row in rows}:
            await tx.execute("select pg_notify($1, $2)", CHANNEL, f"queue:{queue}")

    async def replay(self, tx: Tx, queue: str, envelope: Envelope) -> None:
        """Puts an event back into its queue."""
        await tx.execute(
            "with again as (insert into medbot.queue (queue, event_id, envelope)"
            "  values ($1, $2, $3) on conflict (queue, event_id) do nothing)"
            " select pg_notify($4, $5)",
            queue,
            envelope.id,
            envelope.model_dump(mode="json"),
            CHANNEL,
            f"queue:{queue}",
        )

    async def consume(self, queue: str, handler: Handler) -> None:
        """Consumes until cancelled; a database that is away is waited for."""
        with self._signals.on(f"queue:{queue}") as woken:
            while True:
                try:
                    taken = await self.consume_once(queue, handler)
                except (*CONNECTION_ERRORS, ServiceUnavailable) as error:
                    _log.warning("bus.waiting", queue=queue, **logs.failure(error))
                else:
                    if taken == BATCH:
                        continue
                await woken()

    async def consume_once(self, queue: str, handler: Handler) -> int:
        """Handles the events that are due, at most `BATCH`; answers how many it took.

        The queue's lock is held meanwhile, so it has one active consumer; a crash hands the
        whole batch out again, which the inbox makes harmless.
        """
        async with self._db.transaction(self._actor, idle_within=IDLE_WITHIN) as tx:
            locked = await tx.fetchval(
                "select pg_try_advisory_xact_lock(hashtextextended('medbot.queue:' || $1, 0)),"
                f" {BY_INDEX}",
                queue,
            )
            if not locked:
                return 0
            rows = await tx.fetch(
                "select id, event_id, envelope, attempts from medbot.queue"
                " where queue = $1 and visible_at <= clock_timestamp() order by id limit $2",
                queue,
                BATCH,
            )
            done = [row["id"] for row in rows if await self._deliver(tx, queue, row, handler)]
            await tx.execute("delete from medbot.queue where id = any($1)", done)
            return len(rows)

    async def _deliver(self, tx: Tx, queue: str, row: Any, handler: Handler) -> bool:
        """Whether the event is handled; if not, it waits for its next attempt or is laid aside."""

        async def postpone(error: Exception) -> bool:
            return await self._postpone(tx, queue, row, error)

        try:
            envelope = Envelope.model_validate(row["envelope"])
        except ValidationError as error:  # another version's
            await postpone(error)
            return False
        return await attempt(queue, envelope, handler, postpone)

    async def _postpone(self, tx: Tx, queue: str, row: Any, error: Exception) -> bool:
        """Whether that was the last attempt."""
        attempts = row["attempts"] + 1
        told = {"queue": queue, "event_id": str(row["event_id"]), "attempts": attempts}
        if attempts > len(self._retries.delays):
            _log.error("event.dead", **told, **logs.failure(error))
            await tx.execute(
                "with gone as (delete from medbot.queue where id = $1 returning *)"
                " insert into medbot.dead_letters (queue, event_id, envelope, attempts, error)"
                " select queue, event_id, envelope, $2, $3 from gone",
                row["id"],
                attempts,
                type(error).__qualname__,
            )
            return True
        _log.warning("event.postponed", **told, **logs.failure(error))
        await tx.execute(
            "update medbot.queue set attempts = $2,"
            " visible_at = clock_timestamp() + make_interval(secs => $3) where id = $1",
            row["id"],
            attempts,
            self._retries.delays[attempts - 1],
        )
        return False
