"""The embedded PostgreSQL, whoever else has one on the machine."""

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from kit import embedded
from kit.errors import Misconfigured


class SomebodyElses:
    """The wheel's lock as it is where another user made its file."""

    def __enter__(self) -> None:
        raise PermissionError

    def __exit__(self, *_: Any) -> None:
        raise PermissionError


@pytest.fixture
def folder() -> Iterator[Path]:
    """Not under pytest's own folder, which is private."""
    made = Path(tempfile.mkdtemp(prefix="medbot-embedded-"))
    made.chmod(0o755)
    yield made
    shutil.rmtree(made, ignore_errors=True)


async def test_it_starts_where_another_user_holds_the_lock_of_the_wheel(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(embedded._wheel().PostgresServer, "_lock", SomebodyElses())
    async with embedded.open_embedded(folder) as addresses:
        connection = await asyncpg.connect(addresses.service)
        assert await connection.fetchval("select 1") == 1
        await connection.close()
    with pytest.raises(OSError, match=r"No such file|refused"):
        await asyncpg.connect(addresses.service)


def test_a_folder_that_holds_something_else_is_told_in_one_line(folder: Path) -> None:
    (folder / "postgres").mkdir()
    (folder / "postgres" / "PG_VERSION").write_text("18\n")
    with pytest.raises(Misconfigured, match="does not start in"), embedded.running_server(folder):
        pytest.fail("it started")
