"""Each kind of bus over a database of its own, relaying."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Any

import pytest

from kit import background, outbox
from kit.bus import Bus
from kit.bus.postgres import PostgresBus
from kit.bus.rabbitmq import open_rabbitmq
from kit.database import Database
from kit.signals import Signals
from kit.testing import bus as suite
from kit.testing.rabbitmq import Broker, forget_queues

Opens = Callable[[Database], Awaitable[Bus]]


@pytest.fixture(params=["postgres", "rabbitmq"])
async def opens(request: pytest.FixtureRequest, signals: Signals) -> AsyncIterator[Opens]:
    """Opens a bus for consumers of a database."""
    async with AsyncExitStack() as stack:

        async def opened(database: Database) -> Bus:
            more: dict[str, Any] = {
                "service": suite.QUEUE,
                "subscriptions": suite.SUBSCRIPTIONS,
                "retries": suite.RETRIES,
            }
            if request.param == "postgres":
                return PostgresBus(database, signals, **more)
            broker: Broker = request.getfixturevalue("broker")
            stack.push_async_callback(forget_queues, broker.url)
            return await stack.enter_async_context(open_rabbitmq(broker.url, database, **more))

        yield opened


@pytest.fixture
async def bus(opens: Opens, database: Database, signals: Signals) -> AsyncIterator[Bus]:
    made = await opens(database)

    async def relay() -> None:
        await outbox.relay_for_ever(database, made, signals, service=suite.QUEUE)

    async with background.running(relay=relay):
        yield made
