"""What a service tells of itself: one trace over both buses and the database, counts by route."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import httpx
import pytest
from collector import Collector as Receiver
from collector import collecting
from prometheus_client.parser import text_string_to_metric_families

from contracts.events import Envelope
from kit import background, metrics, outbox
from kit.bus import Bus, Retries
from kit.bus.postgres import PostgresBus
from kit.bus.rabbitmq import open_rabbitmq
from kit.database import Database, open_database
from kit.signals import Signals
from kit.testing import Addresses
from kit.testing import bus as suite
from kit.testing.ports import free_port
from kit.testing.rabbitmq import Broker, forget_queues
from telemetry import Collector, Span, Telemetry, listening

RETRIES = Retries((0.05,))
TOPIC = suite.Happened.topic
OFFERED = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with collecting() as made:
        yield made


@asynccontextmanager
async def opened(
    kind: str, database: Database, signals: Signals, request: pytest.FixtureRequest
) -> AsyncIterator[Bus]:
    """A bus of this kind with its relay."""
    async with AsyncExitStack() as stack:
        made: Bus
        about = {"service": suite.QUEUE, "subscriptions": suite.SUBSCRIPTIONS, "retries": RETRIES}
        if kind == "postgres":
            made = PostgresBus(database, signals, **about)  # type: ignore[arg-type]
        else:
            broker: Broker = request.getfixturevalue("broker")
            stack.push_async_callback(forget_queues, broker.url)
            made = await stack.enter_async_context(
                open_rabbitmq(broker.url, database, **about)  # type: ignore[arg-type]
            )

        async def relay() -> None:
            await outbox.relay_for_ever(database, made, signals, service=suite.QUEUE)

        await stack.enter_async_context(background.running(relay=relay))
        yield made


def value(page: bytes, name: str, **labels: str) -> float | None:
    for family in text_string_to_metric_families(page.decode()):
        for sample in family.samples:
            if sample.name == name and labels.items() <= sample.labels.items():
                return sample.value
    return None


@pytest.mark.parametrize("kind", ["postgres", "rabbitmq"])
async def test_a_trace_goes_through_outbox_and_bus(
    kind: str,
    addresses: Addresses,
    signals: Signals,
    receiver: Receiver,
    request: pytest.FixtureRequest,
) -> None:
    house, done = Telemetry("auth"), asyncio.Event()

    async def fail_once(envelope: Envelope) -> None:
        if effects.seen == [1]:
            raise ValueError("what a patient said")
        done.set()

    async with (
        house.exporting(Collector(receiver.url)),
        open_database(addresses.service, application="test") as database,
        opened(kind, database, signals, request) as bus,
    ):
        effects = suite.Effects(database, fail_once)
        async with suite.consuming(bus, effects.handle):
            with Span("POST /things", parent=OFFERED, root=True):
                await suite.emit(database, 1)
            async with asyncio.timeout(15):
                await done.wait()
            await suite.wait_until(lambda: _handled(effects))
            await suite.wait_until(lambda: _empty(bus))
        metrics.look_at(database, bus, service=suite.QUEUE)
        page = await house.page()
    (sent,) = receiver.named(f"send {TOPIC}")
    first, again = receiver.named(f"process {TOPIC}")
    assert {sent.trace_id, first.trace_id, again.trace_id} == {OFFERED[3:35]}
    assert first.parent_id == again.parent_id == sent.span_id
    assert (first.failed, again.failed) == (True, False)
    assert first.attributes["error.type"] == "ValueError"
    assert (sent.kind, first.kind) == (4, 5)
    stored = [
        span for span in receiver.named("INSERT medbot.inbox") if again in receiver.above(span)
    ]
    assert stored
    assert b"what a patient said" not in b"".join(receiver.raw)
    counted = {"queue": suite.QUEUE, "topic": TOPIC}
    assert value(page, "medbot_events_total", **counted, outcome="postponed") == 1
    assert value(page, "medbot_events_total", **counted, outcome="handled") == 1
    assert value(page, "medbot_queue_waiting", queue=suite.QUEUE) == 0
    assert value(page, "medbot_outbox_waiting") == 0
    assert value(page, "medbot_db_connections", state="idle") is not None
    assert value(page, "medbot_dead_letters", queue="effects") == 1


async def _handled(effects: suite.Effects) -> bool:
    return await effects.done() == [1]


async def _empty(bus: Bus) -> bool:
    return (await bus.waiting())[suite.QUEUE] == 0


async def test_statements_are_told_by_verb_and_table(
    addresses: Addresses, receiver: Receiver
) -> None:
    word = "quixomyelitis"
    async with (
        Telemetry("auth").exporting(Collector(receiver.url)),
        open_database(addresses.service, application="test") as database,
    ):
        with Span("outer"):
            async with database.transaction(suite.CONSUMER) as tx:
                await tx.fetch("select id from medbot.outbox where topic = $1", word)
    (statement,) = receiver.named("SELECT medbot.outbox")
    (outer,) = receiver.named("outer")
    assert receiver.above(statement) == [outer]
    assert statement.attributes == {
        "db.system.name": "postgresql",
        "db.operation.name": "SELECT",
        "db.collection.name": "medbot.outbox",
    }
    assert [span.name for span in receiver.spans if "set_config" in span.name] == []
    assert word.encode() not in b"".join(receiver.raw)


async def test_a_port_of_its_own_tells_the_counts_and_nothing_else() -> None:
    house, port = Telemetry("auth"), free_port()
    async with listening(house, port), httpx.AsyncClient(trust_env=False) as http:
        told = await http.get(f"http://127.0.0.1:{port}/metrics")
        assert told.status_code == 200
        assert value(told.content, "http_server_active_requests") == 0
        for path in ("/", "/health", "/metrics/x"):
            assert (await http.get(f"http://127.0.0.1:{port}{path}")).status_code == 404
        assert (await http.post(f"http://127.0.0.1:{port}/metrics")).status_code == 404
