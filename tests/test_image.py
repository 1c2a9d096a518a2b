"""The images' steps, run in a clean folder; what they start answers as it should."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from media_server import media_server

ROOT = Path(__file__).resolve().parents[1]
WITHIN = 600.0


def rehearse(dockerfile: str, **told: str) -> str:
    """What the script printed; it must have ended well."""
    run = subprocess.run(
        [sys.executable, "scripts/rehearse_image.py", dockerfile],
        cwd=ROOT, env={**os.environ, **told}, capture_output=True, text=True, timeout=WITHIN,
        check=False,
    )  # fmt: skip
    assert run.returncode == 0, run.stderr[-2000:]
    return run.stdout


@pytest.mark.long
def test_the_image_starts_every_service_by_its_name() -> None:
    said = rehearse("Dockerfile")
    for name in ("gateway", "auth", "conversation", "voice"):
        assert f"START medbot serve {name} " in said
    assert said.count("/health answers 200") == 4


@pytest.mark.long
def test_the_image_of_the_worker_starts_one_that_the_media_server_knows() -> None:
    with media_server("http://127.0.0.1:9/") as media:
        said = rehearse(
            "voice-service/Dockerfile.worker",
            LIVEKIT_URL=media.url,
            LIVEKIT_API_KEY=media.key.name,
            LIVEKIT_API_SECRET=media.key.secret,
        )
    assert "/ready answers 200" in said
