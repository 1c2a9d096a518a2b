"""The reaper alone: what it ends, and when a missing sign of life means nothing."""

import uuid
from datetime import timedelta

import pytest

from kit.database import Database, open_database
from kit.identity import Actor
from kit.testing import Addresses
from voice_service.sessions import store
from voice_service.sessions.models import Row
from voice_service.sessions.reaper import Limits, Reaper

ITSELF = Actor.of_service("voice")
LIMITS = Limits(lost=8.0, agent=30.0)


class Seconds:
    """A monotonic clock that is moved."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
async def session(database: Database, person: Actor) -> Row:
    """A session whose last sign of life is a minute old."""
    values = {
        "id": uuid.uuid4(),
        "conversation_id": uuid.uuid4(),
        "channel": "websocket",
        "pipeline": "offline",
    }
    async with database.transaction(person) as tx:
        made = await store.insert(tx, person, values, timedelta(minutes=10))
    async with database.transaction(ITSELF) as tx:
        await tx.execute(
            "update public.voice_sessions set status = 'active', started_at = clock_timestamp(),"
            " joined_at = clock_timestamp(),"
            " heartbeat_at = clock_timestamp() - interval '1 minute'"
        )
    return made


async def status(database: Database, session: Row) -> str:
    async with database.transaction(ITSELF) as tx:
        row = await store.get(tx, session.id)
    assert row is not None
    return row.status


async def test_after_a_start_sessions_have_time_to_show_that_they_live(
    database: Database, session: Row
) -> None:
    clock = Seconds()
    reaper = Reaper(database, None, LIMITS, monotonic=clock)
    await reaper.sweep()
    clock.now += 7.9
    await reaper.sweep()
    assert await status(database, session) == "active"
    clock.now += 0.2
    await reaper.sweep()
    assert await status(database, session) == "failed"


async def test_after_the_database_was_away_they_have_it_again(
    addresses: Addresses, database: Database, session: Row
) -> None:
    clock = Seconds()
    async with open_database(addresses.service, application="test", max_size=1) as flaky:
        reaper = Reaper(flaky, None, LIMITS, monotonic=clock)
        await reaper.sweep()
        clock.now += 20
        async with database.transaction(ITSELF) as tx:  # still fresh in this round
            await tx.execute("update public.voice_sessions set heartbeat_at = clock_timestamp()")
        held = await flaky.pool.acquire()  # nobody else gets a connection now
        try:
            await reaper.sweep()
        finally:
            await flaky.pool.release(held)
        async with database.transaction(ITSELF) as tx:
            await tx.execute(
                "update public.voice_sessions"
                " set heartbeat_at = clock_timestamp() - interval '1 minute'"
            )
        await reaper.sweep()
        assert await status(database, session) == "active"
        clock.now += 8.1
        await reaper.sweep()
        assert await status(database, session) == "failed"


@pytest.mark.parametrize(
    ("state", "seconds", "then"),
    [
        ("listening", 15, "active"),
        ("listening", 25, "ended"),
        ("speaking", 25, "active"),
        ("speaking", 110, "active"),
        ("speaking", 130, "ended"),
    ],
)
async def test_what_is_said_beyond_the_longest_duration_is_not_cut_off_for_a_while(
    database: Database, session: Row, state: str, seconds: float, then: str
) -> None:
    async with database.transaction(ITSELF) as tx:
        await tx.execute(
            "update public.voice_sessions set heartbeat_at = clock_timestamp(), agent_state = $1,"
            " ends_at = clock_timestamp() - make_interval(secs => $2)",
            state,
            seconds,
        )
    await Reaper(database, None, LIMITS).sweep()
    assert await status(database, session) == then
