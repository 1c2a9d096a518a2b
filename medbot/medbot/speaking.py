"""What speech needs beside the services: the media server and the agent that joins its rooms."""

import asyncio
import importlib.util
import os
import signal
import socket
import sys
from collections.abc import Mapping
from contextlib import AsyncExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
from fastapi import FastAPI
from pydantic import SecretStr
from starlette.types import ASGIApp

from kit import settings
from medbot import children, media
from medbot.children import Program
from medbot.terminal import Failed
from voice_service.settings import Settings

if TYPE_CHECKING:  # it takes seconds to import
    from voice_service.context import Context

WEBHOOK = "/api/v1/voice/livekit"
AGENT = "voice_service.agent.worker"
AGENT_PORT = "VOICE_AGENT_PORT"
SERVES_WITHIN = 10.0
STOP_WITHIN = 10.0
"""Seconds that calls have to end when Medbot stops."""

NOT_FOR_AGENTS = ("DATABASE_URL", "DATABASE_DIRECT_URL")
"""An agent has no login of the database."""


async def start_media(stack: AsyncExitStack, told: settings.Settings) -> tuple[Settings, str]:
    """The settings of the voice service with a media server, if one can be had; what to say of it.

    Raises:
        Failed: the program is there and does not serve.
    """
    given = _of_voice(told)
    if given.livekit_url is not None:
        return given, "LIVEKIT_URL"
    program = media.find(given.data_dir)
    if program is None:
        return given, "none; `make livekit` builds one, voice over WebSockets needs none"
    ports, key = media.free_ports(), media.kept_key(given.data_dir)
    server = Program(
        "livekit-server",
        [str(program)],
        {**os.environ, **media.environment(ports, key, f"{given.voice_service_url}{WEBHOOK}")},
        given.data_dir / "logs" / "livekit.log",
        settings.home(),
        stop_within=1.0,
        orphaned=signal.SIGKILL,
    )
    await stack.enter_async_context(children.kept(server))
    await _wait(ports.health)
    with_media = given.model_copy(
        update={
            "livekit_url": ports.url,
            "livekit_api_key": key.name,
            "livekit_api_secret": SecretStr(key.secret),
        }
    )
    return with_media, ports.url


def _of_voice(told: settings.Settings) -> Settings:
    assert isinstance(told, Settings)
    return told


async def _wait(url: str) -> None:
    try:
        async with asyncio.timeout(SERVES_WITHIN), httpx.AsyncClient(trust_env=False) as http:
            while True:
                try:
                    if (await http.get(url)).is_success:
                        return
                except httpx.HTTPError:
                    await asyncio.sleep(0.05)
    except TimeoutError:
        raise Failed(
            "livekit-server does not serve; logs/livekit.log in the data folder says why"
        ) from None


async def start_agent(
    stack: AsyncExitStack, given: Settings, log_file: Path
) -> tuple[str | None, str]:
    """Starts the agent where there is a media server to join.

    Answers where it says that it is ready, and what to say of it.
    """
    if given.livekit_url is None:
        return None, "none: there is no media server"
    found = importlib.util.find_spec(AGENT)
    if found is None or found.origin is None:
        return None, "none: it is not installed"
    env = agent_environment(os.environ, given)
    worker = Program(
        "agent",
        [sys.executable, "-m", "livekit.agents", "start", found.origin],
        env,
        log_file,
        settings.home(),
        stop_within=STOP_WITHIN,
    )
    await stack.enter_async_context(children.kept(worker))
    return f"http://127.0.0.1:{env[AGENT_PORT]}/ready", "gets warm"


async def until_ready(app: ASGIApp, given: Settings, agent: str | None) -> None:
    """Waits until a call would be answered at once: by a socket, and by the agent in a room.

    Raises:
        DomainError: the sockets cannot speak; their log says why.
    """
    assert isinstance(app, FastAPI)
    if given.voice_prewarm:
        context: Context = app.state.context
        await context.desk.warm()
    async with httpx.AsyncClient(trust_env=False) as http:
        while agent is not None:
            if await _says_ready(http, agent):
                return
            await asyncio.sleep(0.2)


async def _says_ready(http: httpx.AsyncClient, url: str) -> bool:
    try:
        return (await http.get(url)).is_success
    except httpx.HTTPError:
        return False


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


def agent_environment(around: Mapping[str, str], given: Settings) -> dict[str, str]:
    """What the agent is told: where its neighbours are, and nothing of the database."""
    assert given.livekit_url is not None
    assert given.livekit_api_key is not None
    assert given.livekit_api_secret is not None
    kept = {name: value for name, value in around.items() if name not in NOT_FOR_AGENTS}
    return {
        AGENT_PORT: str(_free_port()),
        "VOICE_DRAIN_SECONDS": str(int(STOP_WITHIN)),
        **kept,
        "LIVEKIT_URL": given.livekit_url,
        "LIVEKIT_API_KEY": given.livekit_api_key,
        "LIVEKIT_API_SECRET": given.livekit_api_secret.get_secret_value(),
        "VOICE_SERVICE_URL": given.voice_service_url,
        "AUTH_SERVICE_URL": given.auth_service_url,
        "CONVERSATION_SERVICE_URL": given.conversation_service_url,
        "SERVICE_TOKEN_SECRET": given.service_secret(),
        "DATA_DIR": str(given.data_dir),
    }
