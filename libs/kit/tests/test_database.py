"""A transaction speaks for its actor and for nobody else."""

import asyncpg
import pytest

from kit import migrations
from kit.database import Database, open_database, without_hints
from kit.identity import Actor
from kit.testing import Addresses, make_person

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
