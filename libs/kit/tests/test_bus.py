"""Events arrive: none lost, no effect twice, in order, and a poison message stops nobody."""

import asyncio
import uuid
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack

import pytest
from proxy import database_behind
from standby import answers, read_only

from contracts.events import Envelope
from kit import background, outbox
from kit.bus import Bus
from kit.bus.postgres import PostgresBus
from kit.database import Database, open_database
from kit.signals import Signals
from kit.testing import Addresses
from kit.testing import bus as suite

Opens = Callable[[Database], Awaitable[Bus]]
AWAY = 3.0
"""Seconds: many times the suite's retries."""


async def test_events_of_one_key_arrive_in_order_and_once(bus: Bus, database: Database) -> None:
    effects = suite.Effects(database)
    async with suite.consuming(bus, effects.handle):
        await suite.emit(database, *range(200))
        await suite.wait_until(lambda: _counts(effects, 200))
    assert await effects.done() == list(range(200))


async def test_an_event_that_is_rolled_back_never_happened(bus: Bus, database: Database) -> None:
    effects = suite.Effects(database)
    async with suite.consuming(bus, effects.handle):
        with pytest.raises(RuntimeError):
            async with database.transaction(suite.CONSUMER) as tx:
                event = suite.Happened(subject="one", number=1)
                await outbox.emit(tx, event, source=suite.QUEUE)
                raise RuntimeError
        await suite.emit(database, 2)
        await suite.wait_until(lambda: _counts(effects, 1))
    assert await effects.done() == [2]


async def test_events_wait_for_a_consumer_that_starts_late(bus: Bus, database: Database) -> None:
    effects = suite.Effects(database)
    await suite.emit(database, 1, 2, 3)
    async with suite.consuming(bus, effects.handle):
        await suite.wait_until(lambda: _counts(effects, 3))
    assert await effects.done() == [1, 2, 3]


async def test_a_passing_fault_is_retried_and_the_others_go_on(
    bus: Bus, database: Database
) -> None:
    failed: list[int] = []

    async def fail_once(envelope: Envelope) -> None:
        if envelope.data["number"] == 2 and not failed:
            failed.append(2)
            raise ValueError("words of a patient")

    effects = suite.Effects(database, fail_once)
    async with suite.consuming(bus, effects.handle):
        await suite.emit(database, 1, 2, 3)
        await suite.wait_until(lambda: _counts(effects, 3))
    assert sorted(await effects.done()) == [1, 2, 3]


async def test_a_poison_message_ends_as_a_dead_letter_without_words(
    bus: Bus, database: Database
) -> None:
    async def poison(envelope: Envelope) -> None:
        if envelope.data["number"] == 1:
            raise ValueError("words of a patient")

    effects = suite.Effects(database, poison)
    async with suite.consuming(bus, effects.handle):
        (event_id, _) = await suite.emit(database, 1, 2)
        await suite.wait_until(lambda: _is_dead(database, event_id))
    assert await effects.done() == [2]
    async with database.transaction(suite.CONSUMER) as tx:
        row = await tx.fetchrow(
            "select * from medbot.dead_letters where event_id = $1 and queue = $2",
            event_id,
            suite.QUEUE,
        )
    assert row is not None
    assert (row["attempts"], row["error"]) == (3, "ValueError")


async def test_a_row_that_is_no_event_becomes_a_dead_letter_and_stops_nobody(
    database: Database, signals: Signals
) -> None:
    bus = PostgresBus(
        database,
        signals,
        service=suite.QUEUE,
        subscriptions=suite.SUBSCRIPTIONS,
        retries=suite.RETRIES,
    )
    effects, unreadable = suite.Effects(database), uuid.uuid4()
    async with database.transaction(suite.CONSUMER) as tx:
        await tx.execute(
            "insert into medbot.queue (queue, event_id, envelope) values ($1, $2, $3)",
            suite.QUEUE,
            unreadable,
            {"words": "of a patient"},
        )
    async with suite.consuming(bus, effects.handle):
        await suite.emit(database, 1)
        await outbox.relay_once(database, bus, service=suite.QUEUE)
        await suite.wait_until(lambda: _counts(effects, 1))
        await suite.wait_until(lambda: _is_dead(database, unreadable))
    assert await effects.done() == [1]
    assert await bus.waiting() == {suite.QUEUE: 0}


async def test_a_redelivery_has_no_second_effect(bus: Bus, database: Database) -> None:
    """As when a consumer dies between its effect and its acknowledgement."""
    effects = suite.Effects(database)
    crashed: list[Envelope] = []

    async def handle(envelope: Envelope) -> None:
        await effects.handle(envelope)
        if not crashed:
            crashed.append(envelope)
            raise ConnectionResetError

    async with suite.consuming(bus, handle):
        await suite.emit(database, 1)
        await suite.wait_until(lambda: _seen(effects, 2))
    assert await effects.done() == [1]


async def test_two_consumers_of_a_queue_share_no_event(bus: Bus, database: Database) -> None:
    one, two = suite.Effects(database), suite.Effects(database)
    async with suite.consuming(bus, one.handle), suite.consuming(bus, two.handle):
        await suite.emit(database, *range(100))
        await suite.wait_until(lambda: _counts(one, 100))
    assert await one.done() == list(range(100))
    assert sorted(one.seen + two.seen) == list(range(100))


async def test_two_relays_lose_and_double_nothing(
    bus: Bus, database: Database, signals: Signals
) -> None:
    effects = suite.Effects(database)

    async def second() -> None:
        await outbox.relay_for_ever(database, bus, signals, service=suite.QUEUE)

    async with background.running(second=second), suite.consuming(bus, effects.handle):
        await asyncio.gather(
            *(suite.emit(database, *range(n, n + 20), subject=str(n)) for n in range(0, 100, 20))
        )
        await suite.wait_until(lambda: _counts(effects, 100))
    assert sorted(await effects.done()) == list(range(100))


async def test_events_of_each_key_are_first_handed_out_in_order(
    bus: Bus, database: Database
) -> None:
    effects = suite.Effects(database)
    async with suite.consuming(bus, effects.handle):
        await asyncio.gather(
            *(suite.emit(database, *range(n, n + 15), subject=str(n)) for n in range(0, 90, 15))
        )
        await suite.wait_until(lambda: _counts(effects, 90))
    for n in range(0, 90, 15):
        assert [each for each in effects.seen if n <= each < n + 15] == list(range(n, n + 15))


async def test_a_dead_letter_has_its_effect_when_it_is_handed_out_again(
    bus: Bus, database: Database
) -> None:
    broken = [1]

    async def poison(envelope: Envelope) -> None:
        if envelope.data["number"] in broken:
            raise ValueError

    effects = suite.Effects(database, poison)
    async with suite.consuming(bus, effects.handle):
        (event_id, *_) = await suite.emit(database, *range(1, 20))
        await suite.wait_until(lambda: _is_dead(database, event_id))
        await suite.wait_until(lambda: _counts(effects, 18))
        broken.clear()
        async with database.transaction(suite.CONSUMER) as tx:
            letter = await tx.fetchval(
                "delete from medbot.dead_letters where event_id = $1 returning envelope", event_id
            )
            await bus.replay(tx, suite.QUEUE, Envelope.model_validate(letter))
        await suite.wait_until(lambda: _counts(effects, 19))
    assert sorted(await effects.done()) == list(range(1, 20))


async def test_no_attempt_counts_while_the_database_is_away(
    opens: Opens, addresses: Addresses, database: Database, signals: Signals
) -> None:
    """It may be away for longer than all attempts take."""
    async with AsyncExitStack() as stack:
        proxy, address = await stack.enter_async_context(database_behind(addresses.service))
        far = await stack.enter_async_context(open_database(address, application="test"))
        bus = await opens(far)

        async def relay() -> None:
            await outbox.relay_for_ever(database, bus, signals, service=suite.QUEUE)

        await stack.enter_async_context(background.running(relay=relay))
        await stack.enter_async_context(suite.consuming(bus, suite.Effects(far).handle))
        had = suite.Effects(database)
        await suite.emit(database, 1)
        await suite.wait_until(lambda: _counts(had, 1))
        await proxy.die()
        events = await suite.emit(database, 2, 3)
        await asyncio.sleep(AWAY)
        await proxy.start()
        await suite.wait_until(lambda: _counts(had, 3))
        assert await had.done() == [1, 2, 3]
        assert not any([await _is_dead(database, event) for event in events])


async def test_no_attempt_counts_while_the_database_takes_no_writes(
    bus: Bus, addresses: Addresses, database: Database
) -> None:
    effects = suite.Effects(database)
    events = await suite.emit(database, 1, 2)
    await suite.wait_until(lambda: _has_left(database))
    async with AsyncExitStack() as standby:
        await standby.enter_async_context(read_only(addresses.owner))
        async with suite.consuming(bus, effects.handle):
            await suite.wait_until(lambda: _seen(effects, 1))
            await asyncio.sleep(AWAY)
            await standby.aclose()
            await suite.wait_until(lambda: answers(database))
            await suite.wait_until(lambda: _counts(effects, 2))
    # An attempt that was cut at the end, of a database that is there again, may count.
    assert sorted(await effects.done()) == [1, 2]
    assert not any([await _is_dead(database, event) for event in events])


async def test_a_consumer_ends_although_its_handler_fails_in_place_of_ending(
    bus: Bus, database: Database
) -> None:
    reached, seen = asyncio.Event(), []

    async def lose(envelope: Envelope) -> None:
        seen.append(envelope.data["number"])
        reached.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            raise ConnectionResetError from None

    async with asyncio.timeout(25):
        async with background.running(consume=lambda: bus.consume(suite.QUEUE, lose)):
            await suite.emit(database, 1)
            await reached.wait()
    assert seen == [1]


async def _counts(effects: suite.Effects, wanted: int) -> bool:
    return len(await effects.done()) >= wanted


async def _has_left(database: Database) -> bool:
    async with database.transaction(suite.CONSUMER) as tx:
        return not await tx.fetch("select 1 from medbot.outbox limit 1")


async def _seen(effects: suite.Effects, wanted: int) -> bool:
    return len(effects.seen) >= wanted


async def _is_dead(database: Database, event_id: object) -> bool:
    async with database.transaction(suite.CONSUMER) as tx:
        found = await tx.fetchval(
            "select 1 from medbot.dead_letters where event_id = $1 and queue = $2",
            event_id,
            suite.QUEUE,
        )
    return bool(found)
