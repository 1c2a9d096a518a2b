"""`medbot up` as a process, for its tests and for journeys across services."""

import os
import re
import select
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from medbot import environment

READY_WITHIN = 40.0


@dataclass
class Up:
    """`medbot up` as a process; `said` is what it has printed."""

    process: subprocess.Popen[bytes]
    port: int
    said: str = ""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def wait_for(self, words: str) -> str:
        """What was printed, once it holds `words`."""
        until = time.monotonic() + READY_WITHIN
        while words not in self.said:
            assert time.monotonic() < until, f"{words!r} was never said: {self.said}"
            assert self._read(), f"it ended without {words!r}: {self.said}"
        return self.said

    def stop(self, number: int = signal.SIGINT) -> int:
        """Sends a signal and answers the exit status."""
        self.process.send_signal(number)
        self.rest()
        return self.process.wait(READY_WITHIN)

    def rest(self) -> str:
        """All that it printed, once it has ended."""
        while self._read():
            pass
        return self.said

    def _read(self) -> bool:
        assert self.process.stdout is not None
        ready, _, _ = select.select([self.process.stdout], [], [], READY_WITHIN)
        data = os.read(self.process.stdout.fileno(), 65_536) if ready else b""
        self.said += data.decode()
        return bool(data)


def start(
    project: Path,
    port: int,
    env: Mapping[str, str] | None = None,
    *,
    under: Sequence[str] = (),
) -> Up:
    """Starts `medbot up` without waiting; `under` is a program that watches it, with arguments."""
    cleaned = {key: value for key, value in os.environ.items()
               if key not in environment.read_here()}  # fmt: skip
    process = subprocess.Popen(  # noqa: S603
        [*under, sys.executable, "-m", "medbot", "up", "--port", str(port)],
        cwd=project,
        env={**cleaned, "VOICE_PREWARM": "false", **(env or {})},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    return Up(process, port)


def plain(said: str) -> str:
    """Without colours, every run of white space as one blank."""
    return re.sub(r"\s+", " ", re.sub(r"\x1b\[[0-9;]*m", "", said))
