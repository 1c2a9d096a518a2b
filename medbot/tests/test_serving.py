"""One service alone, as a container runs it: started by name, asked how it is, told to stop."""

import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from kit.testing.ports import free_port

COMMAND = (sys.executable, "-m", "medbot")


@contextmanager
def serving(*arguments: str) -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen(
        [*COMMAND, "serve", *arguments], stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def health(port: int) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*COMMAND, "health", str(port)], capture_output=True, text=True, check=False
    )


def probed(port: int) -> int:
    """How the health check of a container ends."""
    command = [sys.executable, "-m", "medbot.health", str(port)]
    return subprocess.run(command, capture_output=True, check=False).returncode


@pytest.mark.parametrize("host", ["127.0.0.1", "::"])
def test_a_service_starts_by_name_and_ends_when_told(host: str) -> None:
    port = free_port()
    with serving("gateway", "--host", host, "--port", str(port)) as process:
        deadline = time.monotonic() + 30
        while (asked := health(port)).returncode and time.monotonic() < deadline:
            time.sleep(0.2)
        assert asked.returncode == 0, asked.stderr
        assert probed(port) == 0
        with socket.create_connection(("127.0.0.1", port), timeout=2):
            pass  # `::` takes IPv4 as well
        process.send_signal(signal.SIGTERM)
        assert process.wait(15) in (0, -signal.SIGTERM)
    assert health(port).returncode == probed(port) == 1


def test_what_containers_run_every_few_seconds_imports_nothing_but_the_standard_library() -> None:
    told = "import medbot.health, sys; print(*{name.partition('.')[0] for name in sys.modules})"
    ran = subprocess.run([sys.executable, "-c", told], capture_output=True, text=True, check=True)
    ours = {"kit", "typer", "rich", "httpx", "pydantic", "structlog", "asyncio"}
    assert "medbot" in ran.stdout.split()
    assert ours & set(ran.stdout.split()) == set()


def test_an_unknown_service_is_one_line() -> None:
    refused = subprocess.run(
        [*COMMAND, "serve", "kitchen"], capture_output=True, text=True, check=False
    )
    assert refused.returncode == 1
    assert refused.stderr.strip().splitlines() == [refused.stderr.strip()]
    assert "auth, conversation, voice, gateway" in refused.stderr


def test_a_taken_port_is_one_line() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        refused = subprocess.run(
            [*COMMAND, "serve", "gateway", "--port", port],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
    assert refused.returncode == 1
    assert f"port {port}" in refused.stderr
