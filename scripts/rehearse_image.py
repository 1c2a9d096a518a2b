#!/usr/bin/env python3
"""Runs the build steps of a Dockerfile in a clean folder, where there is no container engine.

    python3 scripts/rehearse_image.py [Dockerfile …]

Copies what .dockerignore lets through, runs each RUN of the build stage there, copies what the
last stage copies, and starts the result as its ENTRYPOINT says: every service by its name, or the
worker, which must find the media server of LIVEKIT_URL if that is set. Needs bash, and uv on the
PATH or in .uv/bin.
"""

import json
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
HOME = "/opt/medbot"
"""Where the images have everything."""
SERVICES = ("gateway", "auth", "conversation", "voice")
REACHING = ("HOME", "SSL_CERT_FILE", "SSL_CERT_DIR", "HTTPS_PROXY", "UV_INDEX_URL", "UV_PYTHON")
"""What the build may know of this machine: its cache, its Python, the way to the packages."""
STARTS_WITHIN = 60.0
NOWHERE = "127.0.0.1:9"

Stage = Sequence[tuple[str, str]]


def stages(dockerfile: Path) -> Sequence[Stage]:
    """The instructions of each stage: `[("RUN", "…"), …]`, with continued lines joined."""
    text = re.sub(r"\\\n\s*", "", dockerfile.read_text())
    found: list[list[tuple[str, str]]] = []
    for line in text.splitlines():
        if not line or line.startswith("#"):
            continue
        word, _, rest = line.partition(" ")
        if word == "FROM":
            found.append([])
        found[-1].append((word, rest.strip()))
    return found


def context(into: Path) -> None:
    """What a build would be sent: the tracked files that .dockerignore lets through."""
    rules = [line for line in (ROOT / ".dockerignore").read_text().split() if line]
    wanted = [rule[1:] for rule in rules if rule.startswith("!")]
    listed = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard", *wanted],
        cwd=ROOT, check=True, capture_output=True, text=True,
    )  # fmt: skip
    for name in listed.stdout.splitlines():
        parts = Path(name).parts
        if "tests" in parts or parts[-1].startswith(".env") or not (ROOT / name).is_file():
            continue
        (into / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / name, into / name)


def rehearse(dockerfile: Path) -> None:
    """Builds, copies and starts; fails on the first step that fails."""
    *_, building, last = stages(dockerfile)
    with tempfile.TemporaryDirectory(prefix="medbot-image-") as name:
        build, home = Path(name) / "build", Path(name) / "medbot"
        home.mkdir()
        context(home)
        kept = {name: os.environ[name] for name in REACHING if name in os.environ}
        around = kept | {"PATH": f"{ROOT / '.uv/bin'}:{os.environ['PATH']}"}
        for word, rest in building:
            if word == "RUN":
                print(f"RUN {rest}", flush=True)
                told = around | set_by(building, home)
                subprocess.run(rest, shell=True, cwd=home, env=told, check=True)
        home.rename(build)  # programs of a virtual environment know the folder it was made in
        for word, rest in last:
            if word == "COPY":
                source, target = [part for part in rest.split() if not part.startswith("--")]
                print(f"COPY {source}", flush=True)
                shutil.copytree(
                    build / Path(source).relative_to(HOME), home / target, symlinks=True
                )
        shutil.rmtree(build)
        size = sum(one.lstat().st_size for one in home.rglob("*"))
        print(f"{size / 1e6:.0f} MB beside Python itself", flush=True)
        start(home, last)


def set_by(stage: Stage, home: Path) -> dict[str, str]:
    """What its ENV lines set, with `home` in place of the images' folder."""
    lines = [rest.replace(HOME, str(home)) for word, rest in stage if word == "ENV"]
    pairs = [pair.partition("=")[::2] for line in lines for pair in line.split()]
    return {name: value.replace("$PATH", os.environ["PATH"]) for name, value in pairs}


def start(home: Path, last: Stage) -> None:
    """Starts what the stage starts and asks how it is."""
    program = json.loads(next(rest for word, rest in last if word == "ENTRYPOINT"))
    told = {"PATH": os.environ["PATH"], "HOME": "/", "SERVICE_TOKEN_SECRET": "s" * 32}
    told |= set_by(last, home)
    if program != ["medbot"]:
        start_worker(home, program, told)
        return
    database = f"postgresql://medbot_service:none@{NOWHERE}/medbot"  # it may come later
    for name in SERVICES:
        port = str(free_port())
        command = [*program, "serve", name, "--host", "::", "--port", port]
        until_answered(home, command, told | {"DATABASE_URL": database}, port, "health", {200})


def start_worker(home: Path, program: Sequence[str], told: Mapping[str, str]) -> None:
    """The worker without a media server says that it is not ready."""
    port = str(free_port())
    nobody = {"LIVEKIT_URL": f"ws://{NOWHERE}", "LIVEKIT_API_KEY": "k"}
    nobody["LIVEKIT_API_SECRET"] = "s" * 32
    given = {name: os.environ[name] for name in nobody if name in os.environ}
    wanted = {200} if given else {503}
    until_answered(
        home, program, {**told, **nobody, **given, "VOICE_AGENT_PORT": port}, port, "ready", wanted
    )


def until_answered(
    home: Path,
    command: Sequence[str],
    told: Mapping[str, str],
    port: str,
    path: str,
    wanted: set[int],
) -> None:
    """Runs a command until it answers as it should; fails when it does not."""
    print("START", *command, flush=True)
    running = subprocess.Popen(command, cwd=home, env=told, stdout=sys.stderr)
    try:
        deadline = time.monotonic() + STARTS_WITHIN
        while (status := asked(f"http://127.0.0.1:{port}/{path}")) not in wanted:
            if running.poll() is not None or time.monotonic() > deadline:
                sys.exit(f"{' '.join(command)} did not start: /{path} answers {status}")
            time.sleep(0.2)
        print(f"/{path} answers {status}", flush=True)
    finally:
        running.terminate()
        running.wait(30)


def asked(url: str) -> int | None:
    """The status that it answers; None where nobody answers."""
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as refused:
        return refused.code
    except OSError:
        return None


def free_port() -> int:
    """A port that was free a moment ago."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


def main() -> None:
    """Rehearses each Dockerfile that is named, or both."""
    for name in sys.argv[1:] or ["Dockerfile", "voice-service/Dockerfile.worker"]:
        print(f"== {name}", flush=True)
        rehearse(ROOT / name)


if __name__ == "__main__":
    main()
