"""A call from Chromium, with a recording as its microphone."""

import asyncio
import contextlib
import os
import signal
import tempfile
import wave
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
from callers import make
from calling import speech
from conversing import Person
from recounting import messages_of
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.routing import Route

from kit.testing import Served, serve

pytestmark = [pytest.mark.journey, pytest.mark.long]

BROWSER = Path(__file__).resolve().parents[1] / "browser"
CLIENT = BROWSER / "node_modules" / "livekit-client" / "dist" / "livekit-client.umd.js"
QUESTION = "what are the symptoms of diabetes"
SILENCE = 25
"""Seconds of the recording before it speaks: the greeting is over by then, whenever the agent
comes; Chromium plays it from its start, again and again."""

Arrive = Callable[[], Awaitable[Person]]


@dataclass
class Page:
    """Serves the page, and keeps what it tells."""

    told: list[dict[str, Any]] = field(default_factory=list)

    def app(self) -> Starlette:
        return Starlette(
            routes=[
                Route("/", lambda _: FileResponse(BROWSER / "call.html")),
                Route("/client.js", lambda _: FileResponse(CLIENT)),
                Route("/told", self._hear, methods=["POST"]),
            ]
        )

    async def _hear(self, request: Request) -> Response:
        self.told.append(await request.json())
        return Response(status_code=204)

    def all(self, kind: str) -> list[dict[str, Any]]:
        """What it told of one kind."""
        return [one for one in self.told if one["kind"] == kind]

    async def until(self, holds: Callable[[], Any], within: float) -> None:
        try:
            async with asyncio.timeout(within):
                while not holds():
                    assert not self.all("failed"), self.all("failed")
                    await asyncio.sleep(0.1)
        except TimeoutError:
            raise AssertionError(f"it did not come: {self.told[-20:]}") from None

    def said(self, role: str) -> list[str]:
        """Final transcripts of one side."""
        return [
            one["text"] for one in self.all("transcript") if one["role"] == role and one["final"]
        ]


def recording(folder: Path) -> Path:
    """The question between silences."""
    path = folder / "microphone.wav"
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, 16_000, 0, "NONE", ""))
        file.writeframes(bytes(32_000 * SILENCE) + speech(QUESTION) + bytes(32_000 * 120))
    return path


@asynccontextmanager
async def chromium(served: Served, made: dict[str, Any]) -> AsyncIterator[None]:
    """The browser on the page of a session."""
    query = urlencode({"url": made["livekit_url"], "token": made["token"]})
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        process = await asyncio.create_subprocess_exec(
            "chromium", "--headless=new", "--no-sandbox", "--disable-gpu",
            "--disable-dev-shm-usage", "--no-first-run", f"--user-data-dir={folder}/profile",
            "--use-fake-ui-for-media-stream", "--use-fake-device-for-media-stream",
            f"--use-file-for-fake-audio-capture={recording(Path(folder))}",
            "--autoplay-policy=no-user-gesture-required",
            f"{served.url}/?{query}",
            stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL,
            start_new_session=True,
        )  # fmt: skip
        try:
            yield
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            await process.wait()


async def test_a_browser_calls_and_the_chat_goes_on(arrive: Arrive) -> None:
    assert CLIENT.is_file(), "run `npm ci` in tests/browser"
    person, page = await arrive(), Page()
    made = await make(person)
    async with serve(page.app()) as served, chromium(served, made):
        await page.until(lambda: page.all("joined"), within=30)
        await page.until(lambda: page.said("assistant"), within=90)
        await page.until(lambda: page.said("user"), within=60)
        await page.until(lambda: len(page.said("assistant")) >= 2, within=60)
    assert len(page.all("sound")) > 10, "the answer is heard"
    assert {"listening", "speaking"} <= {one["state"] for one in page.all("state")}
    path = f"/api/v1/conversations/{made['conversation_id']}"
    stored = await messages_of(person, path, 3)
    assert [one["role"] for one in stored[:3]] == ["assistant", "user", "assistant"]
    assert stored[1]["content"].strip() == page.said("user")[0].strip()
    assert stored[2]["content"].strip() == page.said("assistant")[1].strip()
    sent = await person.send(path, "Thank you.")
    assert sent.status_code == 201
