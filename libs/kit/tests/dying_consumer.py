"""A consumer that is killed between its effect and its acknowledgement.

python dying_consumer.py <database> <broker, or -> <number of the event>
"""

import asyncio
import os
import signal
import sys
from contextlib import AsyncExitStack

from contracts.events import Envelope
from kit.bus import Bus
from kit.bus.postgres import PostgresBus
from kit.bus.rabbitmq import open_rabbitmq
from kit.database import open_database
from kit.signals import open_signals
from kit.testing import bus as suite


async def consume(database: str, broker: str, last: int) -> None:
    """Consumes until it has had the effect of `last`, and not a moment longer."""
    async with AsyncExitStack() as stack:
        db = await stack.enter_async_context(open_database(database, application="dying"))
        effects = suite.Effects(db)
        bus: Bus
        if broker == "-":
            signals = await stack.enter_async_context(open_signals(database))
            bus = PostgresBus(db, signals, service=suite.QUEUE, subscriptions=suite.SUBSCRIPTIONS)
        else:
            bus = await stack.enter_async_context(
                open_rabbitmq(
                    broker,
                    db,
                    service=suite.QUEUE,
                    subscriptions=suite.SUBSCRIPTIONS,
                    retries=suite.RETRIES,
                )
            )

        async def handle(envelope: Envelope) -> None:
            await effects.handle(envelope)
            if envelope.data["number"] == last:
                os.kill(os.getpid(), signal.SIGKILL)

        await bus.consume(suite.QUEUE, handle)


if __name__ == "__main__":
    asyncio.run(consume(sys.argv[1], sys.argv[2], int(sys.argv[3])))
