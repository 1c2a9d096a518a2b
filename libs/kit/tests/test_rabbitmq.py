"""What RabbitMQ alone can do to events: go away, come back, and carry what nobody can read."""

import asyncio
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from functools import partial
from typing import Any

import aio_pika
import asyncpg
import pytest

from contracts.events import Envelope
from kit import background, outbox
from kit.bus import Bus, Retries
from kit.bus.rabbitmq import TOGETHER, open_rabbitmq
from kit.bus.rabbitmq_queues import DELIVERIES, EXCHANGE
from kit.database import Database
from kit.errors import Misconfigured, ServiceUnavailable
from kit.settings import Settings, load
from kit.signals import Signals
from kit.testing import Addresses
from kit.testing import bus as suite
from kit.testing.rabbitmq import Broker, forget_queues

FULL = f"""
create function medbot.full_disk() returns trigger language plpgsql as $$
begin
  raise exception using errcode = 'disk_full';
end $$;
create trigger full_disk before insert on medbot.dead_letters for each row
  when (new.queue = '{suite.QUEUE}') execute function medbot.full_disk();
"""


@pytest.fixture
async def bus(database: Database, signals: Signals, broker: Broker) -> AsyncIterator[Bus]:
    async with _relaying(broker.url, database, signals) as made:
        yield made


@asynccontextmanager
async def _relaying(url: str, database: Database, signals: Signals) -> AsyncIterator[Bus]:
    opened = open_rabbitmq(
        url,
        database,
        service=suite.QUEUE,
        subscriptions=suite.SUBSCRIPTIONS,
        retries=Retries((0.05,)),
    )
    async with opened as made:

        async def relay() -> None:
            await outbox.relay_for_ever(database, made, signals, service=suite.QUEUE)

        try:
            async with background.running(relay=relay):
                yield made
        finally:
            await forget_queues(url)


async def test_a_broker_that_stops_in_mid_stream_loses_and_doubles_nothing(
    bus: Bus, database: Database, broker: Broker
) -> None:
    effects = suite.Effects(database)
    async with suite.consuming(bus, effects.handle):
        emitting = asyncio.create_task(suite.emit(database, *range(600)))
        await suite.wait_until(lambda: _some(effects))
        await asyncio.to_thread(broker.stop)
        with pytest.raises(ServiceUnavailable):
            await bus.ping()
        await asyncio.to_thread(broker.start)
        await emitting
        await suite.wait_until(lambda: _all(effects, 600), within=60)
    assert sorted(await effects.done()) == list(range(600))


async def test_a_broker_that_hangs_until_it_is_given_up_loses_and_doubles_nothing(
    database: Database, signals: Signals, broker: Broker
) -> None:
    """One that is given up ends what waits for it, in the relay and in a handler's retry too."""

    async def fail_at_first(envelope: Envelope) -> None:
        if envelope.data["number"] == 1 and effects.seen.count(1) == 1:
            reached.set()
            await go_on.wait()
            raise RuntimeError

    effects = suite.Effects(database, fail_at_first)
    reached, go_on = asyncio.Event(), asyncio.Event()
    async with (
        _relaying(f"{broker.url}?heartbeat=3", database, signals) as bus,
        suite.consuming(bus, effects.handle),
    ):
        await suite.emit(database, 0, 1)
        await asyncio.wait_for(reached.wait(), 10)
        with broker.hanging():
            go_on.set()
            await suite.emit(database, *range(2, 40))
            await suite.wait_until(lambda: _is_away(bus), within=30)
        await suite.emit(database, *range(40, 60))
        await suite.wait_until(lambda: _all(effects, 60), within=60)
    assert sorted(await effects.done()) == list(range(60))


async def test_services_start_before_their_broker(
    database: Database, signals: Signals, broker: Broker
) -> None:
    await asyncio.to_thread(broker.stop)
    opened = open_rabbitmq(
        broker.url, database, service=suite.QUEUE, subscriptions=suite.SUBSCRIPTIONS
    )
    effects = suite.Effects(database)
    async with opened as bus:
        await suite.emit(database, 1)
        with pytest.raises(ServiceUnavailable):
            await outbox.relay_once(database, bus, service=suite.QUEUE)
        async with suite.consuming(bus, effects.handle):
            await asyncio.to_thread(broker.start)
            await suite.wait_until(lambda: _relayed(database, bus), within=30)
            await suite.wait_until(lambda: _all(effects, 1), within=30)
    await forget_queues(broker.url)


async def test_what_is_no_event_becomes_a_dead_letter_without_its_words(
    bus: Bus, database: Database, broker: Broker
) -> None:
    effects = suite.Effects(database)
    async with suite.consuming(bus, effects.handle):
        await suite.emit(database, 1)
        await suite.wait_until(lambda: _all(effects, 1))
        await _send(broker, aio_pika.Message(b"words of a patient"))
        await suite.emit(database, 2)
        await suite.wait_until(lambda: _all(effects, 2))
        await suite.wait_until(lambda: _buried(database))
    assert await effects.done() == [1, 2]


async def test_a_dead_letter_waits_for_a_table_that_takes_none(
    bus: Bus, database: Database, addresses: Addresses, broker: Broker
) -> None:
    """Meanwhile the events beside it are handled."""
    effects = suite.Effects(database)
    owner = await asyncpg.connect(addresses.owner)
    await owner.execute(FULL)
    async with suite.consuming(bus, effects.handle):
        await suite.emit(database, 1)
        await suite.wait_until(lambda: _all(effects, 1))
        await _send(broker, aio_pika.Message(b"no event"))
        for number in (2, 3):
            await asyncio.sleep(1.5)
            await suite.emit(database, number)
            await suite.wait_until(partial(_all, effects, number))
        assert await _letter(database) is None
        await owner.execute("drop trigger full_disk on medbot.dead_letters")
        await suite.wait_until(lambda: _buried(database))
    await owner.close()
    assert effects.seen == [1, 2, 3]


async def test_a_letter_that_no_table_can_hold_is_kept_without_its_words(
    bus: Bus, database: Database, broker: Broker
) -> None:
    """PostgreSQL has no U+0000, and somebody else's headers say anything."""
    effects = suite.Effects(database)
    event = Envelope(
        id=uuid.uuid4(),
        type=suite.Happened.topic,
        source="elsewhere",
        subject="one",
        time=datetime.now(UTC),
        data={"number": "\u0000"},
    )
    headers: dict[str, Any] = {"attempts": "many"}
    async with suite.consuming(bus, effects.handle):
        await suite.emit(database, 1)
        await suite.wait_until(lambda: _all(effects, 1))
        await _send(broker, aio_pika.Message(event.model_dump_json().encode(), headers=headers))
        await suite.wait_until(lambda: _buried(database))
    assert await _letter(database) == (event.id, 2, "NoEvent")


async def test_a_burst_of_redeliveries_has_each_effect_once(
    bus: Bus, database: Database, broker: Broker
) -> None:
    effects = suite.Effects(database)
    async with suite.consuming(bus, effects.handle):
        ids = await suite.emit(database, *range(20))
        await suite.wait_until(lambda: _all(effects, 20))
        async with database.transaction(suite.CONSUMER) as tx:
            for number, event_id in enumerate(ids):
                for _ in range(20):
                    event = suite.Happened(subject="one", number=number)
                    await outbox.emit(tx, event, source=suite.QUEUE, event_id=event_id)
        await suite.wait_until(lambda: _seen(effects, 420), within=30)
    assert sorted(await effects.done()) == list(range(20))


async def test_what_was_handled_comes_no_more_when_its_consumer_ends_over_the_next(
    bus: Bus, database: Database, broker: Broker
) -> None:
    last = 2 * TOGETHER + TOGETHER // 2

    async def wait_at_the_ends(envelope: Envelope) -> None:
        if envelope.data["number"] in (0, last):
            reached.set()
            await go_on.wait()

    reached, go_on = asyncio.Event(), asyncio.Event()
    effects, others = suite.Effects(database, wait_at_the_ends), suite.Effects(database)
    async with suite.consuming(bus, effects.handle):
        await suite.emit(database, *range(TOGETHER))
        await reached.wait()
        await suite.wait_until(lambda: _all_left(database))
        await _send(broker, aio_pika.Message(b"words of a patient"))
        await suite.emit(database, *range(TOGETHER, last + 1))
        await suite.wait_until(lambda: _all_left(database))
        reached.clear()
        go_on.set()
        await asyncio.sleep(0)
        go_on.clear()
        await asyncio.wait_for(reached.wait(), 15)
    assert effects.seen == list(range(last + 1))
    async with suite.consuming(bus, others.handle):
        await suite.wait_until(lambda: _all(effects, last + 1))
        await suite.wait_until(lambda: _buried(database))
    assert others.seen == [last]


async def test_an_event_that_its_consumers_die_over_becomes_a_dead_letter(
    bus: Bus, database: Database
) -> None:
    async def hang(envelope: Envelope) -> None:
        if envelope.data["number"] == 1:
            reached.set()
            await asyncio.Event().wait()

    reached = asyncio.Event()
    effects = suite.Effects(database, hang)
    (event_id, _) = await suite.emit(database, 1, 2)
    for _ in range(4 * DELIVERIES):
        if await _letter(database):
            break
        reached.clear()
        async with suite.consuming(bus, effects.handle):
            await suite.wait_until(lambda: _reached_or_dead(reached, database))
    assert effects.seen.count(1) > DELIVERIES
    assert await _letter(database) == (event_id, 2, "TooOften")
    assert await effects.done() == [2]


async def test_an_event_whose_queue_is_gone_is_not_lost(
    bus: Bus, database: Database, broker: Broker
) -> None:
    effects = suite.Effects(database)
    async with suite.consuming(bus, effects.handle):
        await suite.emit(database, 1)
        await suite.wait_until(lambda: _all(effects, 1))
    await forget_queues(broker.url)
    await suite.emit(database, 2)
    await suite.wait_until(lambda: _all_left(database), within=30)
    async with suite.consuming(bus, effects.handle):
        await suite.wait_until(lambda: _all(effects, 2), within=30)
    assert await effects.done() == [1, 2]


async def test_a_bus_whose_broker_never_came_closes_at_once(database: Database) -> None:
    async with asyncio.timeout(2):
        async with open_rabbitmq(
            "amqp://127.0.0.1:1/", database, service=suite.QUEUE, subscriptions={}
        ) as bus:
            with pytest.raises(ServiceUnavailable):
                await bus.ping()


@pytest.mark.parametrize(
    ("environment", "url"),
    [
        ({}, None),
        ({"RABBITMQ_URL": "amqps://a:b@mq.example/v"}, "amqps://a:b@mq.example/v"),
        ({"RABBITMQ_HOST": "mq"}, "amqp://guest:guest@mq:5672/%2F"),
        ({"RABBITMQ_HOST": "fdaa::3"}, "amqp://guest:guest@[fdaa::3]:5672/%2F"),
        (
            {"RABBITMQ_HOST": "mq", "RABBITMQ_PASSWORD": "p/w", "RABBITMQ_VHOST": "v"},
            "amqp://guest:p%2Fw@mq:5672/v",
        ),
    ],
)
def test_the_address_is_one_value_or_five(
    monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], url: str | None
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert load(Settings).broker_url() == url


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("RABBITMQ_URL", "http://mq.example"),
        ("RABBITMQ_URL", "amqp://"),
        ("RABBITMQ_URL", "amqp://me:quiet@mq.example:99999/"),
        ("RABBITMQ_URL", "amqp://me:quiet/word@mq.example/"),
        ("RABBITMQ_HOST", "mq.example:5672"),
        ("RABBITMQ_HOST", "me:quiet@mq.example"),
        ("RABBITMQ_PORT", "many"),
    ],
)
def test_what_is_no_address_stops_the_start_in_a_line_without_the_password(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(Misconfigured, match=f"^{name}: [^\n]+$") as refused:
        load(Settings)
    assert "quiet" not in str(refused.value)


async def _send(broker: Broker, message: aio_pika.Message) -> None:
    """What somebody else puts into the queue."""
    async with await aio_pika.connect(broker.url) as connection:
        channel = await connection.channel()
        await channel.default_exchange.publish(message, f"{EXCHANGE}.{suite.QUEUE}")


async def _some(effects: suite.Effects) -> bool:
    return len(await effects.done()) > 20


async def _all(effects: suite.Effects, wanted: int) -> bool:
    return len(await effects.done()) >= wanted


async def _seen(effects: suite.Effects, wanted: int) -> bool:
    return len(effects.seen) >= wanted


async def _is_away(bus: Bus) -> bool:
    try:
        await bus.ping()
    except ServiceUnavailable:
        return True
    return False


async def _relayed(database: Database, bus: Bus) -> bool:
    try:
        return await outbox.relay_once(database, bus, service=suite.QUEUE) > 0
    except ServiceUnavailable:
        return False


async def _all_left(database: Database) -> bool:
    async with database.transaction(suite.CONSUMER) as tx:
        return not await tx.fetch("select 1 from medbot.outbox limit 1")


async def _reached_or_dead(reached: asyncio.Event, database: Database) -> bool:
    return reached.is_set() or await _letter(database) is not None


async def _letter(database: Database) -> tuple[object, int, str] | None:
    async with database.transaction(suite.CONSUMER) as tx:
        row = await tx.fetchrow(
            "select event_id, attempts, error from medbot.dead_letters where queue = $1",
            suite.QUEUE,
        )
    return (row["event_id"], row["attempts"], row["error"]) if row is not None else None


async def _buried(database: Database) -> bool:
    async with database.transaction(suite.CONSUMER) as tx:
        row = await tx.fetchrow(
            "select envelope, error, event_id from medbot.dead_letters where queue = $1",
            suite.QUEUE,
        )
    return row is not None and row["envelope"] == {} and row["error"] == "NoEvent"
