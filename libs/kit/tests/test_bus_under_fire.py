"""Killed consumers, storms of redeliveries, many events: nothing is lost, no effect comes twice."""

import asyncio
import os
import signal
import sys
from functools import partial
from pathlib import Path

import pytest

from contracts.events import Envelope
from kit.bus import Bus
from kit.database import Database
from kit.testing import Addresses
from kit.testing import bus as suite

DYING = Path(__file__).with_name("dying_consumer.py")


@pytest.fixture
def broker_url(bus: Bus, request: pytest.FixtureRequest) -> str:
    """Where the broker of the bus is, or `-`."""
    kind = request.node.callspec.params["opens"]
    found: str = "-" if kind == "postgres" else request.getfixturevalue("broker").url
    return found


async def killed_over(database: str, broker: str, number: int) -> None:
    """A consumer in a process of its own, killed when it has had the effect of `number`."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, str(DYING), database, broker, str(number)
    )
    try:
        async with asyncio.timeout(60):
            assert await process.wait() == -signal.SIGKILL
    finally:
        if process.returncode is None:
            os.kill(process.pid, signal.SIGKILL)


async def test_a_consumer_is_killed_between_its_effect_and_its_acknowledgement(
    bus: Bus, database: Database, addresses: Addresses, broker_url: str
) -> None:
    await suite.emit(database, *range(60))
    await killed_over(addresses.service, broker_url, 25)
    effects = suite.Effects(database)
    assert 25 in await effects.done()
    async with suite.consuming(bus, effects.handle):
        await suite.wait_until(lambda: counted(effects, 60), within=60)
    assert 25 in effects.seen
    assert await effects.done() == list(range(60))


async def test_consumers_that_die_over_and_over_lose_and_double_nothing(
    bus: Bus, database: Database
) -> None:
    """Each takes a batch, has an effect, and leaves the rest: a storm of redeliveries."""
    await suite.emit(database, *range(120))
    effects = suite.Effects(database)
    for wanted in range(3, 30, 3):

        async def die(envelope: Envelope, wanted: int = wanted) -> None:
            await effects.handle(envelope)
            if len(await effects.done()) >= wanted:
                await asyncio.Event().wait()

        async with suite.consuming(bus, die):
            await suite.wait_until(partial(counted, effects, wanted), within=30)
    async with suite.consuming(bus, effects.handle):
        await suite.wait_until(lambda: counted(effects, 120), within=60)
    assert await effects.done() == list(range(120))
    assert len(effects.seen) > 120
    assert await letters(database) == 0


async def letters(database: Database) -> int:
    async with database.transaction(suite.CONSUMER) as tx:
        found = await tx.fetchval(
            "select count(*) from medbot.dead_letters where queue = $1", suite.QUEUE
        )
    return int(found)


_MANY = (
    "insert into medbot.outbox (topic, key, envelope) select $1::text, k, jsonb_build_object("
    " 'id', gen_random_uuid(), 'type', $1::text, 'source', $2::text, 'subject', k, 'time', now(),"
    " 'data', jsonb_build_object('subject', k, 'number', n)) from ("
    " select n, (n % 50)::text as k from generate_series(0, $3::int - 1) n) numbers"
)


@pytest.mark.parametrize(
    "events", [pytest.param(300), pytest.param(100_000, marks=pytest.mark.long)]
)
async def test_many_events_each_have_their_effect_once_and_in_order(
    bus: Bus, database: Database, events: int
) -> None:
    async with database.transaction(suite.CONSUMER) as tx:
        await tx.execute(_MANY, suite.Happened.topic, suite.QUEUE, events)
    effects = suite.Effects(database)
    async with suite.consuming(bus, effects.handle):
        await suite.wait_until(lambda: seen(effects, events), within=60 + events / 50)
        await suite.wait_until(lambda: counted(effects, events), within=60)
    assert sorted(await effects.done()) == list(range(events))
    first: dict[int, int] = {}
    for place, number in enumerate(effects.seen):
        first.setdefault(number, place)
    for key in range(50):
        places = [first[number] for number in range(key, events, 50)]
        assert places == sorted(places)
    assert await letters(database) == 0


async def counted(effects: suite.Effects, wanted: int) -> bool:
    return len(await effects.done()) >= wanted


async def seen(effects: suite.Effects, wanted: int) -> bool:
    return len(effects.seen) >= wanted
