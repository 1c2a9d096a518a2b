"""Medbot as `medbot up` runs it, on some of the cores, and the providers that it asks."""

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

from kit.testing.ports import free_ports
from medbot import testing
from voice_service.agent.settings import Speaking
from voice_service.offline import opening

ROOT = Path(__file__).resolve().parent.parent
ALL_CORES = sorted(os.sched_getaffinity(0))
PASSWORD = "correct horse battery"
LIMITS = {f"RATE_LIMIT_{name}": "10000000" for name in ("PERSON", "ADDRESS", "SIGN_IN")}


@contextmanager
def providers() -> Iterator[str]:
    """Their address."""
    port = free_ports(4)
    process = subprocess.Popen(
        [sys.executable, str(ROOT / "bench" / "voice_providers.py"), str(port)],
        env={**os.environ, "PYTHONPATH": str(ROOT / "tests" / "support")},
    )
    try:
        _wait(f"http://127.0.0.1:{port}/")
        yield f"http://127.0.0.1:{port}/v1"
    finally:
        process.terminate()
        process.wait()


def _wait(url: str) -> None:
    for _ in range(200):
        try:
            httpx.get(url)
        except httpx.HTTPError:
            time.sleep(0.1)
        else:
            return
    raise SystemExit(f"nothing answers at {url}")


@contextmanager
def medbot(cores: int, env: dict[str, str]) -> Iterator[testing.Up]:
    """`medbot up` on so many cores; whoever calls it has the others from then on."""
    with tempfile.TemporaryDirectory(prefix="medbot-bench-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        for needed in ("database", "library"):
            (folder / needed).symlink_to(ROOT / needed)
        kept = ROOT / ".medbot" / "offline-voice"
        if kept.is_dir():
            shutil.copytree(kept, folder / ".medbot" / "offline-voice")
        os.sched_setaffinity(0, ALL_CORES[:cores])
        try:
            up = testing.start(folder, free_ports(4), {**LIMITS, **env})
        finally:
            os.sched_setaffinity(0, ALL_CORES[cores:] or ALL_CORES)
        try:
            up.wait_for("Voice is ready after")
            _wait_for_ears(folder / ".medbot")
            yield up
        finally:
            up.stop()


def _wait_for_ears(data_dir: Path) -> None:
    """Until the offline model is built, which takes all cores that there are."""
    place = opening.folder_of(Speaking(library_dir=ROOT / "library", data_dir=data_dir))
    for _ in range(1800):
        if place.is_dir():
            return
        time.sleep(0.1)
    raise SystemExit("the model of offline voice was not built")


def token_of(url: str) -> str:
    """Somebody new."""
    sent = {"email": f"{os.urandom(6).hex()}@example.org", "password": PASSWORD}
    answer = httpx.post(f"{url}/api/v1/auth/register", json=sent)
    return str(answer.json()["session"]["access_token"])


def memory(pid: int) -> tuple[float, float]:
    """PSS and USS of a process, in MB."""
    found: dict[str, int] = {}
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]:
        name, _, rest = line.partition(":")
        found[name] = int(rest.split()[0])
    return found["Pss"] / 1024, (found["Private_Clean"] + found["Private_Dirty"]) / 1024


def worked(pid: int) -> float:
    """Seconds of a core that a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
