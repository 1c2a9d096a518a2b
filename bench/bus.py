"""How fast events get from the outbox to their effect, beside the same effects without a bus.

    .venv/bin/python bench/bus.py --events 5000 [--rabbitmq]

Each effect is one commit of an inbox row and a row of its own. The floor does those commits one
after the other on one connection, as a queue's single consumer does. It is measured before and
after each bus, and a ratio is to the mean of those two, since the machine is seldom quiet.
`--rabbitmq` starts Debian's `rabbitmq-server` for the run.
"""

import argparse
import asyncio
import time
import uuid
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory

import uvloop

from contracts.events import Envelope
from kit import background, embedded, outbox
from kit.bus import Bus
from kit.bus.postgres import PostgresBus
from kit.bus.rabbitmq import open_rabbitmq
from kit.database import Database, open_database
from kit.signals import Signals, open_signals
from kit.testing import bus as suite
from kit.testing.rabbitmq import running_broker


async def floor(db: Database, events: int) -> float:
    """Seconds for so many effects, one after the other, without a bus."""
    effects = suite.Effects(db)
    started = time.perf_counter()
    for number in range(events):
        await effects.handle(
            Envelope(
                id=uuid.uuid4(),
                type=suite.Happened.topic,
                source=suite.QUEUE,
                subject="one",
                time=datetime.now(UTC),
                data={"subject": "one", "number": number},
            )
        )
    return time.perf_counter() - started


async def carried(db: Database, signals: Signals, bus: Bus, events: int) -> float:
    """Seconds from a full outbox to the last effect."""
    async with db.transaction(suite.CONSUMER) as tx:
        for number in range(events):
            await outbox.emit(tx, suite.Happened(subject="one", number=number), source=suite.QUEUE)
    effects = suite.Effects(db)
    whole = asyncio.Event()

    async def handle(envelope: Envelope) -> None:
        await effects.handle(envelope)
        if len(effects.seen) >= events:
            whole.set()

    async def relay() -> None:
        await outbox.relay_for_ever(db, bus, signals, service=suite.QUEUE)

    started = time.perf_counter()
    async with background.running(relay=relay), suite.consuming(bus, handle):
        await whole.wait()
        return time.perf_counter() - started


@asynccontextmanager
async def fresh(folder: Path) -> AsyncIterator[tuple[Database, Signals]]:
    """An embedded database of its own."""
    async with AsyncExitStack() as stack:
        urls = await stack.enter_async_context(embedded.open_embedded(folder))
        db = await stack.enter_async_context(open_database(urls.service, application="bench"))
        signals = await stack.enter_async_context(open_signals(urls.service))
        yield db, signals


async def run(folder: Path, events: int, *, rabbitmq: bool) -> None:
    """Prints one line a way."""
    async with fresh(folder) as (db, signals):
        await floor(db, 200)
        own = PostgresBus(db, signals, service=suite.QUEUE, subscriptions=suite.SUBSCRIPTIONS)
        await compare("embedded bus", db, signals, own, events)
        if rabbitmq:
            with running_broker() as broker:
                async with open_rabbitmq(
                    broker.url, db, service=suite.QUEUE, subscriptions=suite.SUBSCRIPTIONS
                ) as bus:
                    await compare("RabbitMQ", db, signals, bus, events)


async def compare(name: str, db: Database, signals: Signals, bus: Bus, events: int) -> None:
    """One line: the rate, those of the floor before and after, and the ratio."""
    some = min(events, 10_000)
    before = some / await floor(db, some)
    rate = events / await carried(db, signals, bus, events)
    after = some / await floor(db, some)
    ratio = 2 * rate / (before + after)
    print(
        f"{name:12s}  {rate:6.0f} a second  without a bus {before:.0f} before, {after:.0f} after"
        f"  ratio {ratio:.2f}",
        flush=True,
    )


def main() -> None:
    """Reads the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=5000)
    parser.add_argument("--rabbitmq", action="store_true")
    given = parser.parse_args()
    with TemporaryDirectory(prefix="medbot-bench-") as name:
        folder = Path(name)
        folder.chmod(0o755)  # the embedded server has a user of its own
        uvloop.run(run(folder, given.events, rabbitmq=given.rabbitmq))  # as the services run


if __name__ == "__main__":
    main()
