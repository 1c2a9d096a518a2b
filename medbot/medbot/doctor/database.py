"""Checks of the database: there, prepared, and its login no more than a service may be."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import asyncpg

from kit import embedded, migrations
from kit.database import without_hints
from kit.errors import Misconfigured
from medbot.doctor.findings import Finding, bad, good, note
from medbot.settings import Settings
from medbot.up import check_migrated

_LOGIN = """
select r.rolname, r.rolsuper, r.rolbypassrls,
  exists (select from pg_class c join pg_namespace n on n.oid = c.relnamespace
          where c.relowner = r.oid and n.nspname in ('public', 'medbot')) as owns,
  coalesce((select pg_has_role(r.oid, app.oid, 'member') from pg_roles app
            where app.rolname = 'medbot_app'), false) as may_become
from pg_roles r where r.rolname = current_user
"""
_OWN_LOGIN = "name a login of its own in DATABASE_URL; `medbot migrate` makes it"


async def examine(settings: Settings) -> AsyncIterator[Finding]:
    """The database that the services would use."""
    if settings.database_url is None:
        yield await _embedded(settings)
        return
    url = settings.database_url.get_secret_value()
    try:
        row = await _login(url)
    except (OSError, ValueError, TimeoutError, asyncpg.PostgresError) as error:
        said = f"DATABASE_URL cannot be used ({type(error).__name__})"
        yield bad("database", said, "check its address, login and password")
        return
    yield good("database", "DATABASE_URL answers")
    yield _powers(row)
    yield await _migrated(url)
    if settings.database_direct_url is None:
        yield note("owner's login", "DATABASE_DIRECT_URL is not set", "`medbot migrate` needs it")


async def _login(url: str) -> Any:
    address = without_hints(url)
    connection = await asyncpg.connect(address, timeout=5, statement_cache_size=0)
    try:
        return await connection.fetchrow(_LOGIN)
    finally:
        await connection.close()


def _powers(row: Any) -> Finding:
    name = "login"
    if row["rolsuper"]:
        return bad(name, f"{row['rolname']} is a superuser: it sees every row", _OWN_LOGIN)
    if row["rolbypassrls"]:
        return bad(name, f"{row['rolname']} passes by row-level security", _OWN_LOGIN)
    if row["owns"]:
        return bad(name, f"{row['rolname']} owns the tables that it should only use", _OWN_LOGIN)
    if not row["may_become"]:
        return bad(name, f"{row['rolname']} may not become medbot_app", "run `medbot migrate`")
    return good(name, f"{row['rolname']} has no power of its own")


async def _migrated(url: str) -> Finding:
    try:
        await check_migrated(url)
    except Misconfigured as refused:
        said, _, remedy = str(refused).removeprefix("DATABASE_URL: ").partition("; ")
        return bad("migrations", said, remedy)
    return good("migrations", "all applied")


async def _embedded(settings: Settings) -> Finding:
    if not (settings.data_dir / "postgres" / "PG_VERSION").exists():
        return note("database", "embedded, not made yet", "`medbot up` makes it")
    try:
        lacking = await _lacking(settings)
    except (Misconfigured, OSError, asyncpg.PostgresError, RuntimeError) as error:
        log = settings.data_dir / "postgres" / "log"
        return bad(
            "database",
            f"the embedded PostgreSQL does not start ({type(error).__name__})",
            f"see {log}",
        )
    if lacking:
        return note("database", f"embedded, lacks {', '.join(lacking)}", "`medbot up` applies them")
    return good("database", f"embedded PostgreSQL in {settings.data_dir / 'postgres'}")


async def _lacking(settings: Settings) -> list[str]:
    holding = embedded.running_server(settings.data_dir)
    sockets = await asyncio.to_thread(holding.__enter__)
    try:
        return await migrations.pending(embedded.address(sockets, "postgres", embedded.DATABASE))
    finally:
        await asyncio.to_thread(holding.__exit__, None, None, None)
