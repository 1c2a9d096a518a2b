"""Row-level security on the tables of accounts, under the service login and a browser's role."""

from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import pytest

from auth_service.testing import Auth, Member
from kit.database import Database, without_hints
from kit.identity import Actor, Role
from kit.testing import Addresses

PUBLIC = ["user_profiles", "user_roles"]
PRIVATE = [
    "credentials", "refresh_tokens", "signing_keys", "ended_sessions", "sign_in_failures",
    "sign_in_places", "mails", "mailed_tokens", "pending_accounts", "joined_guests",
    "lost_roles",
]  # fmt: skip


@pytest.fixture
def person(alice: Member) -> Actor:
    return Actor.of_person(alice.id)


async def test_a_person_sees_their_own_rows_alone(
    database: Database, person: Actor, alice: Member, bob: Member
) -> None:
    async with database.transaction(person) as tx:
        for table in [f"public.{name}" for name in PUBLIC] + ["medbot.sessions"]:
            rows = await tx.fetch(f"select user_id from {table}")
            assert [row["user_id"] for row in rows] == [alice.id], table
        users = await tx.fetch("select id from auth.users")
        assert [row["id"] for row in users] == [alice.id]


async def fill(owner: Any, auth: Auth, alice: Member) -> None:
    """A row in every table of sign-in."""
    await auth.login(alice.email)
    await auth.login("nobody@example.org", "a wrong password")
    pending = await owner.fetchval(
        "insert into medbot.pending_accounts (id, email, password_hash, created_at)"
        " values (gen_random_uuid(), 'new@example.org', 'x', now()) returning id"
    )
    await owner.execute(
        "insert into medbot.mailed_tokens (digest, purpose, pending_id, expires_at)"
        " values (sha256('x'), 'verify', $1, now())",
        pending,
    )
    await owner.execute(
        "insert into medbot.mails (id, kind, user_id, recipient, created_at, due_at)"
        " values (gen_random_uuid(), 'reset', $1, sha256('x'), now(), 'infinity')",
        alice.id,
    )
    await owner.execute(
        "insert into medbot.joined_guests values (gen_random_uuid(), $1, now())", alice.id
    )
    await owner.execute("insert into medbot.lost_roles values ($1, 'admin', now())", alice.id)


async def test_secrets_show_to_auth_alone(
    auth: Auth, database: Database, alice: Member, bob: Member, owner: Any
) -> None:
    await auth.post("/logout", bob.access)
    await fill(owner, auth, alice)
    others = [
        Actor.of_person(alice.id, roles=[Role.ADMIN]),
        Actor(alice.id, "guest"),
        Actor.of_service("conversation", acting_for=alice.id),
    ]
    async with database.transaction(others[-1]) as tx:
        assert [row["id"] for row in await tx.fetch("select id from auth.users")] == [alice.id]
    for table in PRIVATE:
        count = f"select count(*) from medbot.{table}"
        for actor in others:
            async with database.transaction(actor) as tx:
                assert (table, await tx.fetchval(count)) == (table, 0)
        async with database.transaction(Actor.of_service("auth")) as tx:
            assert await tx.fetchval(count) > 0


FORBIDDEN = [
    "insert into public.user_roles (user_id, role) values ('{alice}', 'admin')",
    "insert into public.user_profiles (user_id) values ('{bob}')",
    "insert into medbot.credentials (user_id, password_hash) values ('{alice}', 'x')",
    "insert into medbot.ended_sessions (session_id, ended_at) values ('{bob}', now())",
    "insert into medbot.sessions (id, user_id, created_at, used_at)"
    " values ('{alice}', '{alice}', now(), now())",
    "update public.user_profiles set user_id = '{bob}'",
]
WITHOUT_EFFECT = [
    "update public.user_profiles set full_name = 'x' where user_id = '{bob}'",
    "update medbot.sessions set ended_at = null",
    "update medbot.credentials set password_hash = 'x'",
    "delete from public.user_roles",
    "delete from medbot.refresh_tokens",
    "delete from medbot.sessions",
    "update auth.users set email = 'x'",
    "delete from auth.users",
]


async def test_a_person_cannot_write_what_is_not_theirs(
    database: Database, person: Actor, alice: Member, bob: Member
) -> None:
    for statement in FORBIDDEN:
        with pytest.raises((asyncpg.InsufficientPrivilegeError, asyncpg.UniqueViolationError)):
            async with database.transaction(person) as tx:
                await tx.execute(statement.format(alice=alice.id, bob=bob.id))


async def test_a_session_that_lives_has_its_times(owner: Any, alice: Member) -> None:
    for stripped in (
        "created_at = null, used_at = null", "used_at = null, ended_at = now()",
        "created_at = null", "created_at = null, network = 'x', ended_at = now()",
    ):  # fmt: skip
        with pytest.raises(asyncpg.CheckViolationError):
            await owner.execute(f"update medbot.sessions set {stripped}")


async def test_a_use_of_what_is_left_of_an_ended_session_may_be_noted(
    owner: Any, alice: Member
) -> None:
    await owner.execute(
        "update medbot.sessions set created_at = null, used_at = null, network = null,"
        " program = null, ended_at = now()"
    )
    noted = await owner.execute("update medbot.sessions set used_at = now()")
    assert noted == "UPDATE 1"


async def test_a_person_reaches_no_other_rows(
    database: Database, person: Actor, bob: Member
) -> None:
    for statement in WITHOUT_EFFECT:
        async with database.transaction(person) as tx:
            done = await tx.execute(statement.format(bob=bob.id))
            assert (statement, done.rpartition(" ")[2]) == (statement, "0")


async def test_the_service_login_by_itself_sees_nothing(
    addresses: Addresses, alice: Member
) -> None:
    connection = await asyncpg.connect(without_hints(addresses.service))
    try:
        for table in ["auth.users", "public.user_profiles", "medbot.credentials"]:
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await connection.fetch(f"select * from {table}")
        await connection.execute("begin")
        await connection.execute("set local role medbot_app")
        assert await connection.fetch("select * from public.user_profiles") == []
    finally:
        await connection.close()


@pytest.fixture
async def browser(owner: Any, alice: Member) -> AsyncIterator[Any]:
    """The connection of a browser that has its own Supabase client."""
    async with owner.transaction():
        await owner.execute(
            "select set_config('role', 'authenticated', true),"
            " set_config('request.jwt.claims', $1, true)",
            Actor.of_person(alice.id, roles=[Role.ADMIN]).claims(),
        )
        yield owner


DENIED = [
    "insert into public.user_roles (user_id, role) values ('{alice}', 'admin')",
    "update public.user_profiles set full_name = 'x'",
    "delete from public.user_roles",
    "delete from public.user_profiles",
    "select * from medbot.credentials",
    "select * from medbot.sessions",
    "select * from auth.users",
]


async def test_a_browser_reads_its_own_rows_and_writes_none(
    browser: Any, alice: Member, bob: Member
) -> None:
    for table in PUBLIC:
        rows = await browser.fetch(f"select user_id from public.{table}")
        assert [row["user_id"] for row in rows] == [alice.id]
    for statement in DENIED:
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            async with browser.transaction():
                await browser.execute(statement.format(alice=alice.id))


async def test_a_browser_cannot_become_the_application(owner: Any) -> None:
    for role in ("anon", "authenticated", "service_role"):
        assert not await owner.fetchval("select pg_has_role($1, 'medbot_app', 'member')", role)
