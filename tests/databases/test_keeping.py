"""What DEPLOYMENT.md says about backup, restore, upgrade and rollback is run as it stands there."""

import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import pytest

from kit import embedded, migrations
from kit.testing import servers

ROOT = Path(__file__).resolve().parents[2]
PAPER = (ROOT / "DEPLOYMENT.md").read_text()


def block(first_line: str) -> str:
    """The commands of the paper that begin so."""
    (found,) = re.findall(rf"```bash\n({re.escape(first_line)}\n.*?)```", PAPER, flags=re.DOTALL)
    return str(found)


class Place:
    """An installation on a PostgreSQL 15 of its own, as an operator's shell sees it."""

    def __init__(self, postgres: str, folder: Path) -> None:
        self.owner = f"{postgres.rpartition('/')[0]}/medbot"
        self.folder = folder
        login = f"{embedded.SERVICE_LOGIN}:service@"
        self.service = self.owner.replace("postgres@", login)

    def run(self, commands: str) -> str:
        """Runs commands of the paper; the first that fails ends it."""
        path = f"{servers.POSTGRES_15}:{Path(sys.executable).parent}:{os.environ['PATH']}"
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", commands],
            cwd=self.folder,
            env={
                "PATH": path,
                "HOME": str(self.folder),
                "DATABASE_URL": self.service,
                "DATABASE_DIRECT_URL": self.owner,
                "SERVICE_TOKEN_SECRET": "a secret that the services of this test share",
            },
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout


@pytest.fixture
def folder() -> Iterator[Path]:
    """A checkout."""
    made = Path(tempfile.mkdtemp(prefix="medbot-keeping-"))
    shutil.copytree(ROOT / "database", made / "database")
    (made / "library").symlink_to(ROOT / "library")
    yield made
    shutil.rmtree(made)


@pytest.fixture
def place(folder: Path) -> Iterator[Place]:
    with servers.debian_postgres() as postgres:
        made = Place(postgres, folder)
        made.run(f"psql -qc 'create database medbot' {postgres}")
        yield made


async def words(url: str) -> list[str]:
    """What is kept of conversations, read as the owner."""
    connection = await asyncpg.connect(url)
    try:
        rows = await connection.fetch("select title from public.conversations order by title")
    finally:
        await connection.close()
    return [row["title"] for row in rows]


def filled(place: Place) -> None:
    place.run("medbot migrate")
    place.run("echo 'a long enough one' | medbot users create a@clinic.example --password-stdin")
    place.run(
        'psql -qc "insert into public.conversations (owner_id, user_id, title)'
        ' select id, id, \'A headache\' from auth.users" "$DATABASE_DIRECT_URL"'
    )
    place.run("medbot users lock a@clinic.example")


@pytest.mark.long
async def test_a_backup_is_restored_on_another_server(place: Place, folder: Path) -> None:
    filled(place)
    place.run(block("# backup"))
    with servers.debian_postgres() as postgres:
        other = Place(postgres, folder)
        other.run(f"psql -qc 'create database medbot' {postgres}")
        other.run(block("# restore"))
        assert await words(other.owner) == ["A headache"]
        assert "a@clinic.example" in other.run("medbot users find --locked")
    assert await words(place.owner) == ["A headache"]


@pytest.mark.long
async def test_a_backup_is_restored_over_what_is_there(place: Place) -> None:
    filled(place)
    place.run(block("# backup"))
    place.run("psql -qc 'delete from public.conversations' \"$DATABASE_DIRECT_URL\"")
    place.run(block("# restore"))
    assert await words(place.owner) == ["A headache"]


@pytest.mark.long
async def test_an_older_version_leaves_a_newer_schema_alone(place: Place, folder: Path) -> None:
    filled(place)
    newest = max((folder / "database" / "migrations").glob("*.sql"))
    newest.unlink()
    place.run("medbot migrate")
    connection = await asyncpg.connect(place.owner)
    try:
        applied = await connection.fetch("select migration_id from public._pogo_migration")
        assert newest.stem in {row["migration_id"] for row in applied}
        assert await migrations.missing(connection) == []
    finally:
        await connection.close()
    assert "a@clinic.example" in place.run("medbot users find --locked")


UNITS = dict(
    re.findall(r"`/etc/systemd/system/(medbot\S+)\.service`.*?```ini\n(.*?)```", PAPER, re.DOTALL)
)


def test_the_services_and_the_worker_have_a_unit_of_systemd() -> None:
    assert set(UNITS) == {"medbot@", "medbot-agent"}


@pytest.mark.parametrize("name", UNITS)
def test_a_unit_of_systemd_is_sound(name: str, tmp_path: Path) -> None:
    unit = UNITS[name].replace("/opt/medbot/.venv/bin", str(Path(sys.executable).parent))
    path = tmp_path / f"{name.replace('@', '@auth')}.service"
    path.write_text(unit.replace("/opt/medbot/voice-service", str(ROOT / "voice-service")))
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", path], capture_output=True, text=True, check=False
    )
    ours = [line for line in done.stderr.splitlines() if "medbot" in line]
    assert (done.returncode, ours) == (0, [])
