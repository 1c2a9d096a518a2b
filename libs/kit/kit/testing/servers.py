"""Other servers than the embedded one: Debian's PostgreSQL 15, and PgBouncer before any.

As root they run as the user `postgres`, since neither runs as root.
"""

import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit, urlunsplit

from kit.testing.ports import free_port

POSTGRES_15 = Path("/usr/lib/postgresql/15/bin")
PGBOUNCER = "/usr/sbin/pgbouncer"
STARTS_WITHIN = 20.0
USERS = ("postgres", "medbot_service", "project_owner", "supabase_auth_admin")
"""Logins that the pooler knows; each without a password, or with the one of the address."""

_SETTINGS = (
    "fsync=off", "synchronous_commit=off", "full_page_writes=off", "max_connections=200",
)  # fmt: skip


@contextmanager
def debian_postgres() -> Iterator[str]:
    """The owner's address of a PostgreSQL 15; Debian's `postgresql-15` must be installed."""
    with _folder() as folder:
        port, data = free_port(), folder / "data"
        _as_postgres(
            [POSTGRES_15 / "initdb", "-D", data, "-U", "postgres", "-A", "trust", "-E", "UTF8"],
            folder,
        )
        options = " ".join(f"-c {each}" for each in _SETTINGS)
        control = [POSTGRES_15 / "pg_ctl", "-w", "-D", data]
        listen = f"-h 127.0.0.1 -p {port} -k {folder} {options}"
        _as_postgres([*control, "-l", folder / "log", "-o", listen, "start"], folder)
        try:
            yield f"postgresql://postgres@127.0.0.1:{port}/postgres"
        finally:
            _as_postgres([*control, "-m", "immediate", "stop"], folder)


@contextmanager
def pooling(postgres: str) -> Iterator[str]:
    """The address of a PgBouncer in transaction mode before that server, without a login."""
    parts = urlsplit(postgres)
    host = parts.hostname or parse_qs(parts.query)["host"][0]
    with _folder() as folder:
        port, log = free_port(), folder / "log"
        (folder / "users.txt").write_text("".join(f'"{name}" ""\n' for name in USERS))
        (folder / "pgbouncer.ini").write_text(
            f"[databases]\n* = host={host} port={parts.port or 5432}\n"
            f"[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\nunix_socket_dir =\n"
            f"auth_type = trust\nauth_file = {folder}/users.txt\nlogfile = {log}\n"
            "pool_mode = transaction\nmax_client_conn = 500\ndefault_pool_size = 10\n"
        )
        process = subprocess.Popen(
            [PGBOUNCER, "-q", folder / "pgbouncer.ini"],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            **_dropped(folder),
        )  # fmt: skip
        try:
            _await_port(process, port, log)
            yield f"postgresql://127.0.0.1:{port}/?pgbouncer=true"
        finally:
            process.terminate()
            process.wait()


def through(pooler: str, address: str) -> str:
    """The same login and database by way of a pooler."""
    there, parts = urlsplit(pooler), urlsplit(address)
    login = parts.netloc.rpartition("@")[0]
    return urlunsplit(there._replace(netloc=f"{login}@{there.netloc}", path=parts.path))


@contextmanager
def _folder() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="medbot-server-"))
    folder.chmod(0o755)
    if os.geteuid() == 0:
        shutil.chown(folder, "postgres", "postgres")
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _as_postgres(command: list[Any], folder: Path) -> None:
    with (folder / "setup").open("ab") as out:
        subprocess.run(command, check=True, stdout=out, stderr=out, **_dropped(folder))


def _dropped(folder: Path) -> dict[str, Any]:
    root = os.geteuid() == 0
    whom = {"user": "postgres", "group": "postgres", "extra_groups": ()} if root else {}
    return {"cwd": folder, **whom}


def _await_port(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    deadline = time.monotonic() + STARTS_WITHIN
    while True:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        if process.poll() is not None or time.monotonic() > deadline:
            said = log.read_text()[-2000:] if log.exists() else ""
            raise RuntimeError(f"pgbouncer did not start: {said}")
        time.sleep(0.05)
