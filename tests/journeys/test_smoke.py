"""The smoke test that deployments run passes here, and fails where nothing answers."""

import subprocess
import sys
from pathlib import Path

import pytest
from installation import Installation

from kit.testing.serving import free_port

pytestmark = pytest.mark.journey

SCRIPT = Path(__file__).resolve().parents[2] / "test_api.py"


def smoke(url: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, SCRIPT, "--url", url], capture_output=True, text=True, check=False
    )


def test_every_step_of_the_smoke_test_is_ok(library_mode: Installation) -> None:
    done = smoke(library_mode.url)
    assert done.returncode == 0, done.stdout
    assert "FAILED" not in done.stdout
    assert "erase" in done.stdout


def test_it_fails_where_nothing_answers() -> None:
    done = smoke(f"http://127.0.0.1:{free_port()}")
    assert done.returncode == 1
    assert "FAILED" in done.stdout
