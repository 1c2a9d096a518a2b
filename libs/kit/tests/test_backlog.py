"""A backlog is taken batch by batch by way of the indexes, whatever its table was like before."""

from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import pytest

from contracts.events import Envelope
from kit import outbox
from kit.bus import postgres
from kit.bus.postgres import PostgresBus
from kit.database import Database, Tx, open_database
from kit.signals import Signals
from kit.testing import Addresses
from kit.testing import bus as suite

BACKLOG = 5_000
ROWS = (
    "select jsonb_build_object('id', gen_random_uuid(), 'type', $1::text, 'source', $2::text,"
    " 'subject', 'one', 'time', now(), 'data', '{}'::jsonb) as e from generate_series(1, $3::int)"
)


@pytest.fixture
async def owner(addresses: Addresses) -> AsyncIterator[Any]:
    connection = await asyncpg.connect(addresses.owner)
    yield connection
    await connection.close()


@pytest.fixture
async def narrow(addresses: Addresses) -> AsyncIterator[Database]:
    """A pool of one connection, which keeps its plans."""
    async with open_database(addresses.service, application="backlog", max_size=1) as database:
        yield database


async def read(narrow: Database, owner: Any, table: str, least: int) -> int:
    """Rows that were read of a table, once these are so many: a session tells of them later."""
    found = 0

    async def told() -> bool:
        nonlocal found
        async with narrow.transaction(suite.CONSUMER) as tx:
            await tx.execute("select pg_stat_force_next_flush()")
        found = int(await owner.fetchval(
            "select seq_tup_read + idx_tup_fetch from pg_stat_user_tables"
            " where schemaname = 'medbot' and relname = $1",
            table,
        ))  # fmt: skip
        return found >= least

    await suite.wait_until(told, within=30)
    return found


async def keep_quiet(owner: Any, table: str, *, old: bool) -> None:
    """Nobody else looks at the table; an `old` one is known to be empty."""
    await owner.execute(f"alter table medbot.{table} set (autovacuum_enabled = off)")
    if old:
        await owner.execute(f"vacuum analyze medbot.{table}")


@pytest.mark.parametrize("old", [False, True])
async def test_a_consumer_reads_no_more_than_it_takes(
    narrow: Database, owner: Any, *, old: bool
) -> None:
    await keep_quiet(owner, "queue", old=old)
    bus = PostgresBus(narrow, Signals(), service=suite.QUEUE, subscriptions=suite.SUBSCRIPTIONS)
    taken: list[Envelope] = []

    async def take(envelope: Envelope) -> None:
        taken.append(envelope)

    for _ in range(10):
        assert await bus.consume_once(suite.QUEUE, take) == 0
    await owner.execute(
        "insert into medbot.queue (queue, event_id, envelope)"
        f" select $2, (e ->> 'id')::uuid, e from ({ROWS}) made",
        suite.Happened.topic, suite.QUEUE, BACKLOG,
    )  # fmt: skip
    for _ in range(3):
        assert await bus.consume_once(suite.QUEUE, take) == postgres.BATCH
    assert len(taken) == 3 * postgres.BATCH
    assert await read(narrow, owner, "queue", len(taken)) < BACKLOG


class Nowhere:
    """A bus that nobody listens to."""

    async def publish(self, tx: Tx, envelopes: list[Envelope]) -> None:
        assert len(envelopes) == outbox.BATCH


@pytest.mark.parametrize("old", [False, True])
async def test_a_relay_reads_no_more_than_it_takes(
    narrow: Database, owner: Any, *, old: bool
) -> None:
    await keep_quiet(owner, "outbox", old=old)
    for _ in range(10):
        assert await outbox.relay_once(narrow, Nowhere(), service=suite.QUEUE) == 0
    await owner.execute(
        "insert into medbot.outbox (topic, key, envelope) select $1, $2, e from"
        f" ({ROWS}) made",
        suite.Happened.topic, suite.QUEUE, BACKLOG,
    )  # fmt: skip
    for _ in range(3):
        assert await outbox.relay_once(narrow, Nowhere(), service=suite.QUEUE) == outbox.BATCH
    assert await read(narrow, owner, "outbox", 3 * outbox.BATCH) < BACKLOG
