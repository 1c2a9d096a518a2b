"""The sockets alone on a real port, with bare sessions behind them."""

import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Protocol
from uuid import UUID

import pytest
from bare_sessions import TOKEN, BareDesk, Script
from fastapi import FastAPI, WebSocket

from kit.testing import serve
from voice_service.sockets.held import Calls
from voice_service.sockets.session import Visit
from voice_service.sockets.voice import Call


@dataclass(frozen=True)
class Sockets:
    """Where they are, and what is behind them."""

    url: str
    desk: BareDesk
    calls: Calls

    @property
    def voice(self) -> str:
        return f"{self.url}/ws/voice"

    def session(self, session_id: UUID) -> str:
        return f"{self.url}/api/v1/voice/session/{session_id}/ws?token={TOKEN.replace(' ', '%20')}"


class OpenSockets(Protocol):
    """Serves both with a script, an idle time and a grace time of the test's choice."""

    async def __call__(
        self, script: Script | None = None, *, idle: float = 30.0, grace: float = 1.0
    ) -> Sockets: ...


def build(desk: BareDesk, calls: Calls, *, idle: float) -> FastAPI:
    """Both sockets."""
    app = FastAPI()

    @app.websocket("/ws/voice")
    async def voice(socket: WebSocket) -> None:
        await Call(socket, desk, idle=idle, now=time.time).carry()

    @app.websocket("/api/v1/voice/session/{session_id}/ws")
    async def session(socket: WebSocket, session_id: str) -> None:
        await Visit(socket, desk, calls, idle=idle).carry(session_id)

    return app


@pytest.fixture
async def open_sockets() -> AsyncIterator[OpenSockets]:
    async with AsyncExitStack() as stack:

        async def open_sockets(
            script: Script | None = None, *, idle: float = 30.0, grace: float = 1.0
        ) -> Sockets:
            desk = BareDesk(lambda: script or Script())
            calls = Calls(desk, grace=grace)
            served = await stack.enter_async_context(serve(build(desk, calls, idle=idle)))
            stack.push_async_callback(calls.close)
            return Sockets(served.url.replace("http", "ws", 1), desk, calls)

        yield open_sockets
