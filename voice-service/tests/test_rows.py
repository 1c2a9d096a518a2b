"""Row-level security on the tables of voice, under the service login and a browser's role."""

from typing import Any

import asyncpg
import pytest
from conversing import Person
from speaking import SESSION, job

from kit.database import Database
from kit.identity import Actor, Role
from kit.testing import Addresses, Served

TABLES = ["public.voice_sessions", "medbot.voice_turns", "medbot.voice_links"]


@pytest.fixture
async def spoken(alice: Person, bob: Person, service: Served) -> dict[str, Any]:
    """A session of each, with a turn."""
    made = {}
    for name, person in (("alice", alice), ("bob", bob)):
        answer = (await person.http.post(SESSION, json={"instructions": "private"})).json()
        async with job(service, answer["session_id"]) as running:
            await running.say("user", "private")
        made[name] = answer
    return made


async def test_a_person_sees_their_own_rows_alone(
    spoken: dict[str, Any], alice: Person, database: Database
) -> None:
    for actor, count in (
        (alice.actor, 1),
        (Actor.of_person(alice.actor.id, roles=[Role.ADMIN]) if alice.actor.id else None, 1),
        (Actor.of_service("auth", acting_for=alice.actor.id), 1),
        (Actor.of_service("auth"), 0),
        (Actor(None, "guest"), 0),
    ):
        assert actor is not None
        async with database.transaction(actor) as tx:
            for table in TABLES:
                assert (table, await tx.fetchval(f"select count(*) from {table}")) == (table, count)


@pytest.mark.parametrize(
    "statement",
    [
        "insert into medbot.voice_turns (session_id, seq, role, text, interrupted, started_at,"
        " ended_at, latency, citations, usage) values ('{own}', 2, 'assistant', 'forged', false,"
        " now(), now(), '{{}}', '[]', '[]')",
        "insert into medbot.voice_links (session_id, conversation_id) values (gen_random_uuid(),"
        " '{others_conversation}')",
        "insert into public.voice_sessions (id, conversation_id, owner_id, channel, pipeline,"
        " expires_at) values (gen_random_uuid(), gen_random_uuid(), gen_random_uuid(), 'voice',"
        " 'offline', now())",
    ],
)
async def test_nobody_writes_what_is_not_theirs_to_write(
    spoken: dict[str, Any], alice: Person, database: Database, statement: str
) -> None:
    ids = {
        "own": spoken["alice"]["session_id"],
        "others_conversation": spoken["bob"]["conversation_id"],
    }
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        async with database.transaction(alice.actor) as tx:
            await tx.execute(statement.format(**ids))


async def test_a_browser_reads_its_own_sessions_and_no_inner_columns(
    spoken: dict[str, Any], alice: Person, addresses: Addresses
) -> None:
    connection = await asyncpg.connect(addresses.owner)
    try:
        for query, allowed in (
            ("select id, status from public.voice_sessions", True),
            ("select holder from public.voice_sessions", False),
            ("select text from medbot.voice_turns", False),
            ("update public.voice_sessions set status = 'active'", False),
            ("delete from public.voice_sessions", False),
        ):
            transaction = connection.transaction()
            await transaction.start()
            await connection.execute(
                "select set_config('role', 'authenticated', true),"
                " set_config('request.jwt.claims', $1, true)",
                alice.actor.claims(),
            )
            if allowed:
                rows = await connection.fetch(query)
                assert [str(row["id"]) for row in rows] == [spoken["alice"]["session_id"]]
            else:
                with pytest.raises(asyncpg.InsufficientPrivilegeError):
                    await connection.fetch(query)
            await transaction.rollback()
    finally:
        await connection.close()
