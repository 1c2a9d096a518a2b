"""The two halves started by their scripts: the API answers, the agent joins a room and greets."""

import asyncio
import contextlib
import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import httpx
import pytest
from conversing import Visit
from livekit import rtc
from media_server import MediaServer
from speaking import SESSION

from kit.testing import SERVICE_SECRET, Addresses, Issuer, Served

SCRIPTS = Path(__file__).resolve().parents[1] / "scripts"


@contextmanager
def running(name: str, env: dict[str, str]) -> Iterator["subprocess.Popen[bytes]"]:
    """A script as a process of its own."""
    process = subprocess.Popen(
        [str(SCRIPTS / name)],
        env={**os.environ, **env},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait(10)


async def until_healthy(served: Served) -> None:
    async with asyncio.timeout(60), httpx.AsyncClient(base_url=served.url) as http:
        while True:
            with contextlib.suppress(httpx.HTTPError):
                if (await http.get("/health")).is_success:
                    return
            await asyncio.sleep(0.1)


@pytest.mark.long
async def test_the_scripts_start_the_api_and_the_agent(
    addresses: Addresses, issuer: Issuer, conversations: Served, media: MediaServer,
    voice_port: int, index_dir: Path, visit: Visit,
) -> None:  # fmt: skip
    served = Served(f"http://127.0.0.1:{voice_port}", voice_port)
    env = {
        "PORT": str(voice_port),
        "DATABASE_URL": addresses.service,
        "AUTH_SERVICE_URL": issuer.url,
        "CONVERSATION_SERVICE_URL": conversations.url,
        "VOICE_SERVICE_URL": served.url,
        "SERVICE_TOKEN_SECRET": SERVICE_SECRET,
        "LIVEKIT_URL": media.url,
        "LIVEKIT_API_KEY": media.key.name,
        "LIVEKIT_API_SECRET": media.key.secret,
        "DATA_DIR": str(index_dir),
        "VOICE_AGENT_PORT": "0",
        "VOICE_PREWARM": "false",
    }
    with ExitStack() as both:
        both.enter_context(running("run_api.sh", env))
        without_login = {name: value for name, value in env.items() if name != "DATABASE_URL"}
        both.enter_context(running("run_agent.sh", without_login))
        await until_healthy(served)
        alice = await visit(served)
        made = (await alice.http.post(SESSION, json={})).json()
        room = rtc.Room()
        await room.connect(made["livekit_url"], made["token"])
        try:
            async with asyncio.timeout(90):
                while True:
                    path = f"{SESSION}/{made['session_id']}/status"
                    status = (await alice.http.get(path)).json()
                    if status["status"] == "active" and status["turns"] > 0:
                        break
                    await asyncio.sleep(0.2)
        finally:
            await room.disconnect()
