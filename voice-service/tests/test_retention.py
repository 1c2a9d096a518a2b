"""A voice session that ended long ago goes with what was said in it; one that runs stays."""

import uuid
from datetime import UTC, datetime, timedelta

import asyncpg
import pytest

from kit.database import Database
from kit.identity import Actor
from kit.testing import Addresses
from privacy import retention
from voice_service import retention as kept

NOW = datetime(2026, 6, 1, tzinfo=UTC)
VOICE = Actor.of_service("voice")

# How many days ago each ended (None: it runs), and whether its room is open.
SESSIONS = [(40, False), (31, False), (29, False), (40, True), (None, False)]


async def test_sessions_go_with_their_turns_by_the_time_of_their_end(
    database: Database, addresses: Addresses, person: Actor
) -> None:
    connection = await asyncpg.connect(addresses.owner)
    try:
        for ended, room_open in SESSIONS:
            session = await connection.fetchval(
                "insert into public.voice_sessions (id, conversation_id, owner_id, channel,"
                " pipeline, status, end_reason, room_open, expires_at, ended_at) values ($1, $2,"
                " $3, 'voice', 'offline', $4, $5, $6, $7, $8) returning id",
                uuid.uuid4(),
                uuid.uuid4(),
                person.id,
                "active" if ended is None else "ended",
                None if ended is None else "asked",
                room_open,
                NOW,
                None if ended is None else NOW - timedelta(days=ended),
            )
            await connection.execute(
                "insert into medbot.voice_turns (session_id, seq, role, text, interrupted,"
                " started_at, ended_at, latency, citations, usage)"
                " values ($1, 1, 'user', 'words', false, $2, $2, '{}', '[]', '[]')",
                session,
                NOW,
            )
        classes = kept.classes(messages_days=30)
        (due,) = await retention.due(database, VOICE, classes, now=NOW)
        gone = await retention.apply(database, VOICE, classes, now=NOW)
        assert gone == {"voice_sessions": due.rows} == {"voice_sessions": 2}
        assert await connection.fetchval("select count(*) from public.voice_sessions") == 3
        assert await connection.fetchval("select count(*) from medbot.voice_turns") == 3
    finally:
        await connection.close()


@pytest.mark.parametrize("days", [None, 30])
async def test_a_dry_run_takes_nothing(database: Database, days: float | None) -> None:
    (due,) = await retention.due(database, VOICE, kept.classes(messages_days=days), now=NOW)
    assert (due.setting, due.days, due.rows) == ("RETENTION_MESSAGES_DAYS", days, 0)
