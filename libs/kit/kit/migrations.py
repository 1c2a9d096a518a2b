"""Brings a database to the newest schema: `database/migrations/*.sql`, forward only, by pogo.

Two processes that start at once take turns by an advisory lock of the session, so this needs the
owner's login on a direct connection, never a transaction pooler.
"""

import logging
import warnings
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import asyncpg
from pogo_core.util import migrate, sql

from kit.errors import Misconfigured
from kit.settings import home

LOCK = 7_305_110_442
"""Any number, as long as nothing else of the product locks it."""


def folder() -> Path:
    """Where the migrations lie."""
    return home() / "database" / "migrations"


async def apply(owner_url: str, *, service_url: str | None = None) -> list[str]:
    """Applies what is missing and answers its names, in order.

    With `service_url` the login that it names is made when it is missing, and may become
    `medbot_app`; it gets the password of the address.

    Raises:
        Misconfigured: the owner's login cannot be used.
    """
    async with _locked(owner_url) as connection:
        before = await _applied(connection)
        await migrate.apply(connection, folder(), schema_name="public", logger=_quiet())
        if service_url is not None:
            await _provide_login(connection, service_url)
        return sorted(await _applied(connection) - before)


async def pending(owner_url: str) -> list[str]:
    """Names of the migrations that the database lacks, in order."""
    async with _locked(owner_url) as connection:
        return await missing(connection)


async def missing(connection: Any) -> list[str]:
    """The same, asked by whoever may read the list: the owner, or a service in a transaction.

    Raises:
        asyncpg.UndefinedTableError: nothing was ever applied.
    """
    applied = await _applied(connection)
    return [name for name in _names() if name not in applied]


@cache
def _names() -> tuple[str, ...]:
    """Those that this process came with, in order."""
    return tuple(sorted(path.stem for path in folder().glob("*.sql")))


@asynccontextmanager
async def _locked(owner_url: str) -> AsyncIterator[Any]:
    try:
        connection = await asyncpg.connect(owner_url)
    except (OSError, ValueError, asyncpg.PostgresError) as error:
        raise Misconfigured(
            f"DATABASE_DIRECT_URL: the owner's login failed ({type(error).__name__})"
        ) from error
    try:
        await connection.execute("select pg_advisory_lock($1::bigint)", LOCK)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            await sql.ensure_pogo_sync(connection)
        yield connection
    finally:
        await connection.close()


async def _applied(connection: Any) -> set[str]:
    return set(await sql.get_applied_migrations(connection, schema_name="public"))


async def _provide_login(connection: Any, service_url: str) -> None:
    parts = urlsplit(service_url)
    name, password = unquote(parts.username or ""), unquote(parts.password or "")
    if not name:
        raise Misconfigured("DATABASE_URL: the address names no login")
    if (parts.hostname or "").endswith(".pooler.supabase.com"):
        name = name.partition(".")[0]  # the pooler's names carry the project behind a dot
    quoted = await connection.fetchval("select quote_ident($1)", name)
    if not await connection.fetchval("select 1 from pg_roles where rolname = $1", name):
        secret = await connection.fetchval("select quote_literal($1)", password)
        with_password = f"password {secret}" if password else ""
        with suppress(asyncpg.DuplicateObjectError, asyncpg.UniqueViolationError):
            await connection.execute(f"create role {quoted} login noinherit {with_password}")
    await connection.execute(f"grant medbot_app to {quoted}")


def _quiet() -> logging.Logger:
    """pogo says at WARNING what it applies; that is no warning here."""
    logger = logging.getLogger("pogo")
    logger.setLevel(logging.ERROR)
    return logger
