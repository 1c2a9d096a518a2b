"""A real livekit-server on free ports of the loopback, for as long as a test needs it."""

import os
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

import httpx

from kit.testing.ports import free_port
from medbot import media

ROOT = Path(__file__).resolve().parents[2]
START_WITHIN = 20.0


@dataclass
class MediaServer:
    """Where it is and what opens it; it can be killed and started again on the same ports."""

    program: Path
    webhook: str
    ports: media.Ports = field(
        default_factory=lambda: media.Ports(free_port(), free_port(), free_port())
    )
    key: media.Key = field(default_factory=media.Key.made)
    process: "subprocess.Popen[bytes] | None" = None

    @property
    def url(self) -> str:
        """Where clients connect."""
        return self.ports.url

    def begin(self) -> None:
        """Starts it and waits until it answers."""
        with tempfile.TemporaryFile() as log:
            self.process = subprocess.Popen(
                [str(self.program)],
                env={**os.environ, **media.environment(self.ports, self.key, self.webhook)},
                stdout=log,
                stderr=log,
            )
            self._wait(self.process, log)

    def _wait(self, process: "subprocess.Popen[bytes]", log: IO[bytes]) -> None:
        until = time.monotonic() + START_WITHIN
        while not self._answers():
            if process.poll() is not None or time.monotonic() > until:
                log.seek(0)
                raise AssertionError(f"livekit-server did not start: {log.read()!r}")
            time.sleep(0.02)

    def kill(self) -> None:
        """SIGKILL."""
        if self.process is not None:
            self.process.kill()
            self.process.wait(10)
            self.process = None

    def _answers(self) -> bool:
        try:
            return httpx.get(self.ports.health, trust_env=False).is_success
        except httpx.HTTPError:
            return False


@contextmanager
def media_server(webhook: str) -> Iterator[MediaServer]:
    """Runs the server that `make livekit` built; `webhook` is where it tells of its rooms."""
    program = media.find(ROOT / ".medbot")
    assert program is not None, "there is no livekit-server: run `make livekit`"
    server = MediaServer(program, webhook)
    server.begin()
    try:
        yield server
    finally:
        server.kill()
