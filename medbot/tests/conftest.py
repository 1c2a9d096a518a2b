"""Commands run in a project folder of the test's own, so that nobody's settings come in."""

import logging
import shutil
import signal
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest
from bare_sockets import open_sockets as open_sockets
from typer.testing import CliRunner, Result

from kit import settings
from kit.testing.ports import free_ports
from medbot import environment, main
from medbot.testing import Up, start

ROOT = Path(__file__).resolve().parents[2]

Command = Callable[..., Result]


@pytest.fixture(autouse=True)
def _unset(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in environment.read_here():
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def project() -> Iterator[Path]:
    """A folder that stands for the root: migrations, cards, and an own `.env.local`.

    Not under pytest's private folder: as root, the server has a user of its own.
    """
    folder = Path(tempfile.mkdtemp(prefix="medbot-cli-"))
    folder.chmod(0o755)
    for name in ("database", "library"):
        (folder / name).symlink_to(ROOT / name)
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def medbot(project: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Command]:
    """Runs a command in this process: `medbot("ask", "…", input=…)`."""
    monkeypatch.chdir(project)
    assert settings.home() == project
    root = logging.getLogger()
    before = root.level, root.handlers[:]
    yield lambda *words, **more: CliRunner().invoke(main.app, words, **more)
    root.setLevel(before[0])
    root.handlers[:] = before[1]


@pytest.fixture
def up(project: Path) -> Iterator[Callable[..., Up]]:
    """Starts `medbot up` in the project: `up(port=…, env=…)`."""
    started: list[Up] = []

    def begin(port: int | None = None, env: Mapping[str, str] | None = None) -> Up:
        started.append(start(project, port or free_ports(4), env))
        return started[-1]

    yield begin
    for one in started:
        if one.process.poll() is None:
            one.stop(signal.SIGTERM)
        assert one.process.stdout is not None
        one.process.stdout.close()
