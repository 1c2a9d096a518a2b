#!/usr/bin/env python3
"""Runs the build steps of a Dockerfile in a clean folder, where there is no container engine.

    python3 scripts/rehearse_image.py [Dockerfile …]

Copies what .dockerignore lets through, runs each RUN of the first stage there, copies what the
last stage copies, and starts the result's gateway. Needs uv on the PATH or in .uv/bin.
"""

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PORT = 18999
STARTS_WITHIN = 60.0


def stages(dockerfile: Path) -> list[list[tuple[str, str]]]:
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
    """Builds and copies; fails on the first step that fails."""
    found = stages(dockerfile)
    with tempfile.TemporaryDirectory(prefix="medbot-image-") as name:
        build, image = Path(name) / "build", Path(name) / "image"
        build.mkdir()
        context(build)
        environment = {
            "PATH": f"{ROOT / '.uv/bin'}:{os.environ['PATH']}",
            "HOME": os.environ.get("HOME", "/root"),
            "UV_PYTHON_DOWNLOADS": "never",
        }
        for word, rest in found[-2]:
            if word == "RUN":
                print(f"RUN {rest}", flush=True)
                subprocess.run(rest, shell=True, cwd=build, env=environment, check=True)
        for word, rest in found[-1]:
            if word == "COPY":
                source, target = [part for part in rest.split() if not part.startswith("--")]
                print(f"COPY {source}", flush=True)
                kept = build / Path(source).relative_to("/opt/medbot")
                shutil.copytree(kept, image / target, symlinks=True)
        start(image)


def start(image: Path) -> None:
    """Starts the gateway from the copied files and asks how it is."""
    program = [image / ".venv/bin/python", "-m", "medbot", "serve", "gateway"]
    environment = {"PATH": os.environ["PATH"], "DATA_DIR": str(image / "data"), "HOME": "/"}
    running = subprocess.Popen([*program, "--port", str(PORT)], cwd=image, env=environment)
    try:
        deadline = time.monotonic() + STARTS_WITHIN
        while True:
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{PORT}/health") as answer:
                    print(json.load(answer))
                    return
            except OSError:
                if running.poll() is not None or time.monotonic() > deadline:
                    sys.exit("the gateway did not start")
                time.sleep(0.2)
    finally:
        running.terminate()
        running.wait(20)


def main() -> None:
    """Rehearses each Dockerfile that is named, or both."""
    for name in sys.argv[1:] or ["Dockerfile", "voice-service/Dockerfile.worker"]:
        print(f"== {name}", flush=True)
        rehearse(ROOT / name)


if __name__ == "__main__":
    main()
