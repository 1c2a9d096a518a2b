"""A PostgreSQL of one's own, as Debian ships it, in place of the embedded one."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest
from typer.testing import Result

from kit.testing.ports import free_ports
from medbot.testing import Up, plain

BIN = Path("/usr/lib/postgresql/15/bin")
PASSWORD = "of-the-owner"
Command = Callable[..., Result]


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    """The owner's address on a PostgreSQL 15 that asks for passwords."""
    assert (BIN / "postgres").exists(), "install it: apt-get install postgresql-15"
    folder, port = Path(tempfile.mkdtemp(prefix="medbot-pg15-")), free_ports(4)
    (folder / "password").write_text(PASSWORD)
    (folder / "password").chmod(0o644)
    if os.geteuid() == 0:
        shutil.chown(folder, "postgres")
    data = folder / "data"
    _as_postgres(
        f"{BIN}/initdb -D {data} -U postgres --auth=scram-sha-256 --pwfile={folder}/password"
    )
    options = f"-p {port} -h 127.0.0.1 -k {folder} -c fsync=off"
    _as_postgres(f"{BIN}/pg_ctl -w -D {data} -l {folder}/log -o '{options}' start")
    yield f"postgresql://postgres:{PASSWORD}@127.0.0.1:{port}/postgres"
    _as_postgres(f"{BIN}/pg_ctl -w -D {data} -m immediate stop")
    shutil.rmtree(folder, ignore_errors=True)


def _as_postgres(command: str) -> None:
    words = ["su", "postgres", "-c", command] if os.geteuid() == 0 else ["sh", "-c", command]
    subprocess.run(words, check=True, stdout=subprocess.DEVNULL, timeout=60)


def test_migrate_prepares_it_and_everything_runs_on_it(
    medbot: Command, up: Callable[..., Up], project: Path, server: str
) -> None:
    service = server.replace(f"postgres:{PASSWORD}", "medbot_service:of-the-service")
    env = project / ".env.local"
    env.write_text(f"DATABASE_URL={server}\nSERVICE_TOKEN_SECRET={'s' * 32}\n")
    refused = up()
    assert refused.process.wait(20) == 1
    assert "the database is not prepared; run `medbot migrate`" in plain(refused.rest())

    env.write_text(
        f"DATABASE_URL={service}\nDATABASE_DIRECT_URL={server}\nSERVICE_TOKEN_SECRET={'s' * 32}\n"
    )
    applied = medbot("migrate")
    assert applied.exit_code == 0, applied.output
    assert "applied 0001_foundation" in applied.output
    assert medbot("migrate").output == "The database is up to date.\n"
    assert "medbot_service has no power of its own" in plain(medbot("doctor").output)

    running = up()
    said = running.wait_for("is ready")
    assert "demo@" not in said  # a made-up account has no place in somebody's own database
    made = httpx.post(
        f"{running.url}/api/v1/auth/register",
        json={"email": "one@clinic.example", "password": "a long enough one"},
        timeout=30,
    )
    assert made.status_code == 201
    assert not (project / ".medbot" / "postgres").exists()
    assert running.stop() == 0


def test_migrate_asks_for_the_owners_login(medbot: Command, project: Path) -> None:
    (project / ".env.local").write_text("DATABASE_URL=postgresql://a:b@127.0.0.1:1/c\n")
    refused = medbot("migrate")
    assert refused.exit_code == 1
    assert plain(refused.output).startswith("medbot: DATABASE_DIRECT_URL must be set")


def test_migrate_needs_no_address_for_the_embedded_one(medbot: Command) -> None:
    first = medbot("migrate")
    assert first.exit_code == 0, first.output
    assert "applied 0001_foundation" in first.output
    assert medbot("migrate").output == "The database is up to date.\n"
