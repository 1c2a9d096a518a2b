"""Each kind of bus over a database of its own, relaying."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import pytest

from kit import background, outbox
from kit.bus import Bus
from kit.bus.postgres import PostgresBus
from kit.bus.rabbitmq import open_rabbitmq
from kit.database import Database
from kit.signals import Signals
from kit.testing import bus as suite
from kit.testing.rabbitmq import Broker, forget_queues


@pytest.fixture(params=["postgres", "rabbitmq"])
async def bus(
    request: pytest.FixtureRequest, database: Database, signals: Signals
) -> AsyncIterator[Bus]:
    async with AsyncExitStack() as stack:
        made: Bus
        if request.param == "postgres":
            made = PostgresBus(
                database,
                signals,
                service=suite.QUEUE,
                subscriptions=suite.SUBSCRIPTIONS,
                retries=suite.RETRIES,
            )
        else:
            broker: Broker = request.getfixturevalue("broker")
            stack.push_async_callback(forget_queues, broker.url)
            made = await stack.enter_async_context(
                open_rabbitmq(
                    broker.url,
                    database,
                    service=suite.QUEUE,
                    subscriptions=suite.SUBSCRIPTIONS,
                    retries=suite.RETRIES,
                )
            )

        async def relay() -> None:
            await outbox.relay_for_ever(database, made, signals, service=suite.QUEUE)

        await stack.enter_async_context(background.running(relay=relay))
        yield made
