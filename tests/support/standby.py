"""A database that takes no writes, as a standby does, or one whose disk is full."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

import asyncpg

from kit.database import CONNECTION_ERRORS, Database
from kit.errors import ServiceUnavailable


@asynccontextmanager
async def read_only(owner: str) -> AsyncIterator[None]:
    """Whoever is connected to the database is cut, and comes back to one that only answers."""
    name = urlsplit(owner).path.strip("/")
    connection = await asyncpg.connect(owner)
    try:
        await _turn(connection, f"alter database {name} set default_transaction_read_only = on")
        yield
        await _turn(connection, f"alter database {name} reset default_transaction_read_only")
    finally:
        await connection.close()


async def answers(database: Database) -> bool:
    """Whether it does, also where connections of its pool were cut."""
    return await _refusal(database) is None


async def is_unavailable(database: Database) -> bool:
    """Whether it says so."""
    return isinstance(await _refusal(database), ServiceUnavailable)


async def _refusal(database: Database) -> Exception | None:
    try:
        await database.ping()
    except (*CONNECTION_ERRORS, ServiceUnavailable) as error:
        return error
    return None


async def _turn(connection: "asyncpg.Connection[asyncpg.Record]", statement: str) -> None:
    await connection.execute(statement)
    await connection.execute(
        "select pg_terminate_backend(pid) from pg_stat_activity"
        " where datname = current_database() and pid <> pg_backend_pid()"
    )
