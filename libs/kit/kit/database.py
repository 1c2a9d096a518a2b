"""PostgreSQL: a pool, and the one way to use it, a transaction opened for an `Actor`.

The service login owns no table and inherits nothing. Inside the transaction it becomes
`medbot_app` and carries the actor's claims, and row-level security does the rest. Every setting
is local to the transaction, so a transaction pooler may stand in between.
"""

import json
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit, urlunsplit

import anyio
import asyncpg

from kit.errors import Misconfigured, ServiceUnavailable
from kit.identity import Actor
from kit.statements import record_statements
from telemetry import catalogue

if TYPE_CHECKING:
    Tx = asyncpg.pool.PoolConnectionProxy[asyncpg.Record]
else:
    Tx = asyncpg.pool.PoolConnectionProxy
"""A connection inside a transaction that speaks for an actor."""

Clock = Callable[[], datetime]

CONNECT_WITHIN = 5.0
"""Seconds for a new connection to the database."""

ACQUIRE_WITHIN = 5.0
"""Seconds to wait for a free connection before answering that the database is not available."""

STATEMENT_WITHIN = 30.0
"""Seconds after which a statement is given up."""

IDLE_WITHIN = 60.0
"""Seconds in which a transaction has to go on. The server ends it then and frees its locks, which
a host that was lost without a word would hold until TCP gives up, for hours."""

_BECOME = (
    "select set_config('role', 'medbot_app', true), set_config('request.jwt.claims', $1, true),"
    " set_config('idle_in_transaction_session_timeout', $2, true)"
)


def utc_now() -> datetime:
    """The clock of the product; tests pass their own."""
    return datetime.now(UTC)


class DatabaseBusy(ServiceUnavailable):
    """Every connection to the database is in use; come again soon."""

    code = "service.database_busy"


class Database:
    """A pool of connections under the service login."""

    def __init__(self, pool: "asyncpg.Pool[asyncpg.Record]", url: str) -> None:
        self.pool = pool
        self.url = url

    @asynccontextmanager
    async def transaction(
        self, actor: Actor, *, idle_within: float = IDLE_WITHIN
    ) -> AsyncIterator[Tx]:
        """Commits on leaving the block, rolls back on an exception. Between two statements there
        may be `idle_within` seconds.

        Raises:
            DatabaseBusy: every connection was in use for too long.
            ServiceUnavailable: no connection could be had in time.
        """
        started = time.perf_counter()
        connection = await self._acquire()
        catalogue.ACQUIRE_SECONDS.observe(time.perf_counter() - started)
        try:
            async with connection.transaction():
                idle = f"{idle_within * 1000:.0f}ms"
                await connection.execute(_BECOME, actor.claims(), idle)
                yield connection
        finally:
            catalogue.TRANSACTION_SECONDS.observe(time.perf_counter() - started)
            with anyio.CancelScope(shield=True):
                await self._give_back(connection)

    async def _give_back(self, connection: Tx) -> None:
        """Whoever leaves a stream cancels each wait anew, a rollback's too: it is made up for."""
        try:
            if connection.is_in_transaction() and not connection.is_closed():
                await connection.execute("rollback")
        finally:
            await self.pool.release(connection, timeout=ACQUIRE_WITHIN)

    async def _acquire(self) -> Tx:
        try:
            return await self.pool.acquire(timeout=ACQUIRE_WITHIN)
        except CANNOT_CONNECT as error:
            if isinstance(error, TimeoutError) and self._all_in_use():
                raise DatabaseBusy from error
            raise ServiceUnavailable("The database is not available now.") from error

    def _all_in_use(self) -> bool:
        return not self.pool.get_idle_size() and self.pool.get_size() >= self.pool.get_max_size()

    async def ping(self) -> None:
        """Raises when nothing can be written now."""
        connection = await self._acquire()
        try:
            if await connection.fetchval("show transaction_read_only") == "on":
                raise ServiceUnavailable("The database takes no writes now.")
        finally:
            await self.pool.release(connection)


CONNECTION_ERRORS = (
    asyncpg.PostgresConnectionError,
    asyncpg.CannotConnectNowError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    asyncpg.TooManyConnectionsError,
    asyncpg.ReadOnlySQLTransactionError,  # a standby, or one whose disk is full
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,  # of a connection that the server has just closed
    OSError,  # refused, reset, timed out, no route, no such host
)
"""What a database that is down, restarting, full or read-only makes asyncpg raise."""

CANNOT_CONNECT = (*CONNECTION_ERRORS, asyncpg.PostgresError)
"""What connecting may raise: a pooler without its database says XX000, as for a fault."""


@asynccontextmanager
async def open_database(
    url: str, *, application: str, min_size: int = 1, max_size: int = 10
) -> AsyncIterator[Database]:
    """Opens a pool on `url` (the service login's).

    Raises:
        Misconfigured: the address cannot be parsed, or the login is refused.
        ServiceUnavailable: the database does not answer now.
    """
    try:
        pool = await asyncpg.create_pool(
            without_hints(url),
            min_size=min_size,
            max_size=max_size,
            timeout=CONNECT_WITHIN,
            command_timeout=STATEMENT_WITHIN,
            statement_cache_size=0 if behind_pooler(url) else 200,
            server_settings={"application_name": application},
            init=_prepare,
            reset=_keep,
        )
    except (asyncpg.InvalidAuthorizationSpecificationError, asyncpg.InvalidCatalogNameError) as no:
        raise Misconfigured(f"DATABASE_URL: {no.sqlstate}, the database refused the login") from no
    except ValueError as error:
        raise Misconfigured("DATABASE_URL is not a PostgreSQL address") from error
    except CANNOT_CONNECT as error:
        raise ServiceUnavailable(f"the database: no answer ({type(error).__name__})") from error
    try:
        yield Database(pool, url)
    finally:
        await pool.close()


def behind_pooler(url: str) -> bool:
    """Whether statements may have no name: Supabase's port 6543, or `?pgbouncer=true`."""
    parts = urlsplit(url)
    return parts.port == 6543 or "true" in parse_qs(parts.query).get("pgbouncer", [])


def without_hints(url: str) -> str:
    """The address without `pgbouncer=true`, which PostgreSQL itself does not know."""
    parts = urlsplit(url)
    kept = [pair for pair in parts.query.split("&") if pair and not pair.startswith("pgbouncer=")]
    return urlunsplit(parts._replace(query="&".join(kept)))


async def _prepare(connection: Any) -> None:
    for name in ("json", "jsonb"):
        await connection.set_type_codec(
            name, schema="pg_catalog", encoder=json.dumps, decoder=json.loads
        )
    record_statements(connection)


async def _keep(_: Any) -> None:
    """Nothing to reset: every setting was local to its transaction."""
