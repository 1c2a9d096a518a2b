"""A model is built by one process at a time, and is there whole or not at all."""

import fcntl
import os
import subprocess
import sys
import time
from pathlib import Path

from voice_service.offline import building


def _builder(library: Path, into: Path) -> "subprocess.Popen[bytes]":
    program = [sys.executable, "-P", "-m", "voice_service.offline.building"]
    return subprocess.Popen([*program, str(library), str(into)])


def test_who_comes_while_another_builds_waits_and_takes_what_is_there(
    library: Path, tmp_path: Path
) -> None:
    into = tmp_path / "offline-voice" / "mark"
    into.parent.mkdir()
    held = os.open(into.parent, os.O_RDONLY)
    fcntl.flock(held, fcntl.LOCK_EX)
    waiting = [_builder(library, into) for _ in range(2)]
    time.sleep(2)
    assert list(into.parent.iterdir()) == []
    assert [process.poll() for process in waiting] == [None, None]
    into.mkdir()
    os.close(held)

    assert [process.wait(30) for process in waiting] == [0, 0]
    assert list(into.parent.iterdir()) == [into]
    assert list(into.iterdir()) == []


def test_what_a_killed_builder_left_is_taken_away_and_never_used(
    library: Path, tmp_path: Path
) -> None:
    into = tmp_path / "mark"
    builder = _builder(library, into)
    deadline = time.monotonic() + 30
    while not list(tmp_path.glob(".building-*/model")) and time.monotonic() < deadline:
        time.sleep(0.01)
    builder.kill()
    builder.wait()
    (left,) = tmp_path.iterdir()
    assert not into.exists()
    old = tmp_path / "old"
    old.mkdir()
    os.utime(old, (0, 0))
    building.clear(tmp_path)

    assert left != into
    assert list(tmp_path.iterdir()) == []
