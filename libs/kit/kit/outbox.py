"""Facts leave through the outbox: written in the transaction that makes them true, relayed after.

One relay at a time, whichever process holds the lock, takes rows in order and hands them to the
bus; a row goes when the bus has it. What is published twice is done once, by the inbox.
"""

import asyncio
import uuid
from typing import Protocol

from contracts.events import Envelope, Event
from kit import logs, trace
from kit.database import CONNECTION_ERRORS, Database, Tx, utc_now
from kit.errors import ServiceUnavailable
from kit.identity import Actor
from kit.signals import CHANNEL, Signals
from telemetry import Kind, Span

LOCK = 7_305_110_443
BATCH = 500
TOPIC = "outbox"

MESSAGING = {"messaging.system": "medbot", "messaging.operation.type": "send"}
DESTINATION = "messaging.destination.name"

BY_INDEX = "set_config('enable_seqscan', 'off', true), set_config('enable_sort', 'off', true)"
"""For this transaction. A connection keeps its plans, and one that was made while a table was
empty would read and sort all of a backlog for each batch of it."""

GATHER = 0.05
"""Seconds that events may gather before they are relayed: a burst costs one transaction."""

_log = logs.get(__name__)


class Publisher(Protocol):
    """The sending half of a bus."""

    async def publish(self, tx: Tx, envelopes: list[Envelope]) -> None:
        """Hands over events, in order, to every queue that wants them; returns when they are safe.

        `tx` is the relay's transaction, in which the rows of the outbox are being deleted.
        """
        ...


async def emit(tx: Tx, event: Event, *, source: str, event_id: uuid.UUID | None = None) -> None:
    """Records `event` in the caller's transaction; lock the row of its key before."""
    with Span(f"send {event.topic}", Kind.PRODUCER, {**MESSAGING, DESTINATION: event.topic}):
        envelope = Envelope(
            id=event_id or uuid.uuid4(),
            type=event.topic,
            source=source,
            subject=event.key,
            time=utc_now(),
            traceparent=trace.traceparent.get() or None,
            data=event.model_dump(mode="json"),
        )
        await tx.execute(
            "with o as (insert into medbot.outbox (topic, key, envelope) values ($1, $2, $3))"
            " select pg_notify($4, $5)",
            event.topic,
            event.key,
            envelope.model_dump(mode="json"),
            CHANNEL,
            TOPIC,
        )


def forgetting(which: str) -> tuple[str, ...]:
    """Statements, in their order, that take back the events `e` that fulfil `which`.

    What the relay has in hand is waited for, and is in a queue then. One that somebody handles at
    this moment is passed by, since its handler may be waiting for us; it goes when that is done.
    """
    tables = (("outbox", ""), ("queue", "skip locked"), ("dead_letters", "skip locked"))
    return tuple(
        f"delete from medbot.{table} where id in (select e.id from medbot.{table} e"  # noqa: S608
        f" where {which} order by e.id for update of e {passing})"
        for table, passing in tables
    )


async def relay_once(db: Database, publisher: Publisher, *, service: str) -> int:
    """Moves one batch from the outbox to the bus and answers its size, 0 while another relays."""
    async with db.transaction(Actor.of_service(service)) as tx:
        if not await tx.fetchval(f"select pg_try_advisory_xact_lock($1::bigint), {BY_INDEX}", LOCK):
            return 0
        rows = await tx.fetch(
            "with taken as (delete from medbot.outbox where id = any(array(select id from"
            " medbot.outbox order by id limit $1 for update)) returning id, envelope)"
            " select envelope from taken order by id",
            BATCH,
        )
        if rows:
            await publisher.publish(tx, [Envelope.model_validate(row["envelope"]) for row in rows])
        return len(rows)


async def relay_for_ever(
    db: Database, publisher: Publisher, signals: Signals, *, service: str
) -> None:
    """Relays until cancelled; a database that is away is waited for."""
    with signals.on(TOPIC) as woken:
        while True:
            try:
                moved = await relay_once(db, publisher, service=service)
            except (*CONNECTION_ERRORS, ServiceUnavailable) as error:
                _log.warning("outbox.waiting", **logs.failure(error))
            else:
                if moved == BATCH:
                    continue
            await woken()
            await asyncio.sleep(GATHER)
