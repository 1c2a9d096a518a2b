"""A transaction speaks for its actor and for nobody else."""

import asyncio

import asyncpg
import pytest
from proxy import database_behind
from standby import answers, is_unavailable, read_only

from kit import migrations
from kit.database import CONNECTION_ERRORS, Database, open_database, without_hints
from kit.errors import ServiceUnavailable
from kit.identity import Actor
from kit.testing import Addresses, make_person
from kit.testing import bus as suite

_WHO = "select nullif(current_setting('request.jwt.claims', true), '')::jsonb ->> 'sub'"
"""What `auth.uid()` reads; Supabase lets no login of ours call that by name."""


async def test_a_transaction_carries_the_actor_and_leaves_nothing_behind(
    database: Database, person: Actor
) -> None:
    async with database.transaction(person) as tx:
        assert await tx.fetchval(_WHO) == str(person.id)
        assert await tx.fetchval("select current_user") == "medbot_app"
    async with database.pool.acquire() as connection:
        assert await connection.fetchval(_WHO) is None
        assert await connection.fetchval("select current_user") == "medbot_service"


async def test_the_service_login_itself_sees_no_table(addresses: Addresses) -> None:
    connection = await asyncpg.connect(without_hints(addresses.service))
    try:
        for table in ("public.conversations", "public.messages", "medbot.outbox", "auth.users"):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await connection.fetch(f"select * from {table}")
    finally:
        await connection.close()


async def test_an_exception_rolls_everything_back(database: Database, person: Actor) -> None:
    with pytest.raises(RuntimeError):
        async with database.transaction(person) as tx:
            await tx.execute(
                "insert into public.conversations (owner_id, user_id) values ($1, $1)", person.id
            )
            raise RuntimeError
    async with database.transaction(person) as tx:
        assert await tx.fetchval("select count(*) from public.conversations") == 0


async def test_nobody_writes_for_another(
    database: Database, addresses: Addresses, person: Actor
) -> None:
    other = await make_person(addresses)
    async with database.transaction(person) as tx:
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await tx.execute(
                "insert into public.conversations (owner_id, user_id) values ($1, $1)", other.id
            )


async def test_a_pooler_may_be_announced_in_the_address(
    addresses: Addresses, person: Actor
) -> None:
    url = f"{addresses.service}{'&' if '?' in addresses.service else '?'}pgbouncer=true"
    async with open_database(url, application="test") as db, db.transaction(person) as tx:
        assert await tx.fetchval(_WHO) == str(person.id)


def _said_by_a_pooler(severity: str) -> bytes:
    """An error of the wire protocol with the code that poolers give where they have no database."""
    fields = f"S{severity}\0V{severity}\0CXX000\0Mconnection to database not available\0\0".encode()
    return b"E" + (len(fields) + 4).to_bytes(4, "big") + fields


async def test_a_pooler_without_a_database_counts_as_a_database_that_is_away(
    addresses: Addresses, person: Actor
) -> None:
    async with database_behind(addresses.service) as (pooler, url):
        url += "&sslmode=disable" if "?" in url else "?sslmode=disable"
        async with open_database(url, application="test") as db:
            async with db.transaction(person) as tx:
                assert await tx.fetchval(_WHO) == str(person.id)
            pooler.answer = _said_by_a_pooler("FATAL")
            for _ in ("a connection of the pool", "a new one"):
                with pytest.raises((*CONNECTION_ERRORS, ServiceUnavailable)):
                    async with db.transaction(person):
                        pytest.fail("there is no database")
            with pytest.raises(ServiceUnavailable):
                async with open_database(url, application="test"):
                    pytest.fail("there is no database")
            pooler.answer = b""
            async with db.transaction(person) as tx:
                assert await tx.fetchval(_WHO) == str(person.id)


async def test_a_fault_of_postgresql_with_the_code_of_poolers_is_a_fault(
    database: Database, person: Actor
) -> None:
    with pytest.raises(asyncpg.InternalServerError):
        async with database.transaction(person) as tx:
            await tx.execute("do $$ begin raise exception using errcode = 'XX000'; end $$")


async def test_a_database_that_takes_no_writes_counts_as_away(
    database: Database, person: Actor
) -> None:
    with pytest.raises(CONNECTION_ERRORS):
        async with database.transaction(person) as tx:
            await tx.execute("set local transaction_read_only = on")
            await tx.execute("update public.conversations set title = 'x'")


async def test_a_database_that_takes_no_writes_does_not_answer_a_ping(
    addresses: Addresses, database: Database
) -> None:
    await database.ping()
    async with read_only(addresses.owner):
        await suite.wait_until(lambda: is_unavailable(database))
    await suite.wait_until(lambda: answers(database))


async def test_a_transaction_of_a_lost_host_holds_no_lock_for_long(
    database: Database, person: Actor
) -> None:
    lock = "select pg_advisory_xact_lock(4711)"
    async with database.transaction(person) as tx:
        assert await tx.fetchval("show idle_in_transaction_session_timeout") == "1min"
    with pytest.raises((*CONNECTION_ERRORS, ServiceUnavailable)):
        async with database.transaction(person, idle_within=0.3) as lost:
            await lost.execute(lock)
            async with asyncio.timeout(10), database.transaction(person) as tx:
                await tx.execute(lock)
            await lost.execute("select 1")
    async with database.transaction(person) as tx:
        assert await tx.fetchval("show idle_in_transaction_session_timeout") == "1min"


async def test_policies_work_for_a_role_that_may_not_look_into_auth(
    addresses: Addresses, database: Database, person: Actor
) -> None:
    """As on Supabase, whose owner cannot grant that schema's use."""
    connection = await asyncpg.connect(addresses.owner)
    await connection.execute("revoke usage on schema auth from medbot_app")
    await connection.close()
    async with database.transaction(person) as tx:
        await tx.execute(
            "insert into public.conversations (owner_id, user_id) values ($1, $1)", person.id
        )
        assert await tx.fetchval("select count(*) from public.conversations") == 1


async def test_nobody_truncates(addresses: Addresses) -> None:
    connection = await asyncpg.connect(addresses.owner)
    try:
        for role in ("anon", "authenticated", "medbot_app"):
            tables = await connection.fetch(
                "select oid::regclass::text from pg_class where relkind = 'r'"
                " and relnamespace::regnamespace::text in ('public', 'medbot')"
                " and has_table_privilege($1, oid, 'truncate')",
                role,
            )
            assert tables == [], role
    finally:
        await connection.close()


async def test_every_table_is_guarded(addresses: Addresses) -> None:
    connection = await asyncpg.connect(addresses.owner)
    try:
        open_tables = await connection.fetch(
            "select relname from pg_class c join pg_namespace n on n.oid = relnamespace"
            " where relkind = 'r' and nspname in ('public', 'medbot', 'auth')"
            " and not relrowsecurity"
        )
    finally:
        await connection.close()
    assert open_tables == []


async def test_migrating_again_does_nothing(addresses: Addresses) -> None:
    assert await migrations.apply(addresses.owner, service_url=addresses.service) == []
    assert await migrations.pending(addresses.owner) == []
