"""What every bus must do; run against each implementation."""

import asyncio
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import ClassVar

from contracts.events import Envelope, Event
from kit import outbox
from kit.bus import Bus, Handler, Retries, first_time
from kit.database import Database
from kit.identity import Actor

QUEUE = "suite"
CONSUMER = Actor.of_service(QUEUE)


class Happened(Event):
    """An event of the suite."""

    topic: ClassVar[str] = "medbot.suite.thing.happened.v1"

    subject: str
    number: int

    @property
    def key(self) -> str:
        return self.subject


RETRIES = Retries((0.05, 0.05))
"""Every bus of one broker must name the same: they are its queues."""

SUBSCRIPTIONS: dict[str, tuple[type[Event], ...]] = {QUEUE: (Happened,)}


@dataclass
class Effects:
    """Effects kept in the database beside the inbox row, so that doing one twice shows."""

    db: Database
    fail: Callable[[Envelope], Awaitable[None]] | None = None
    seen: list[int] = field(default_factory=list)

    async def handle(self, envelope: Envelope) -> None:
        """Writes one row an event, once."""
        self.seen.append(int(str(envelope.data["number"])))
        if self.fail is not None:
            await self.fail(envelope)
        async with self.db.transaction(CONSUMER) as tx:
            if await first_time(tx, QUEUE, envelope):
                await tx.execute(
                    "insert into medbot.dead_letters (queue, event_id, envelope, attempts, error)"
                    " values ('effects', $1, $2, $3, '')",
                    envelope.id,
                    {},
                    envelope.data["number"],
                )

    async def done(self) -> list[int]:
        """Numbers of the events that had their effect, in the order of the effects."""
        async with self.db.transaction(CONSUMER) as tx:
            rows = await tx.fetch(
                "select attempts from medbot.dead_letters where queue = 'effects' order by id"
            )
        return [row["attempts"] for row in rows]


async def emit(db: Database, *numbers: int, subject: str = "one") -> list[uuid.UUID]:
    """Emits one event a number, each in its own transaction."""
    made = []
    for number in numbers:
        event_id = uuid.uuid4()
        async with db.transaction(CONSUMER) as tx:
            event = Happened(subject=subject, number=number)
            await outbox.emit(tx, event, source=QUEUE, event_id=event_id)
        made.append(event_id)
    return made


async def wait_until(check: Callable[[], Awaitable[bool]], within: float = 15) -> None:
    """Looks until `check` holds."""
    async with asyncio.timeout(within):
        while not await check():
            await asyncio.sleep(0.02)


@asynccontextmanager
async def consuming(bus: Bus, handler: Handler) -> AsyncIterator[None]:
    """Consumes for as long as the block lasts."""
    task = asyncio.create_task(bus.consume(QUEUE, handler))
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
