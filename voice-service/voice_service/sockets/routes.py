"""The two voice sockets."""

import time

from fastapi import APIRouter, WebSocket

from voice_service.context import Context
from voice_service.sockets.session import Visit
from voice_service.sockets.voice import Call

router = APIRouter()


@router.websocket("/ws/voice")
async def voice(socket: WebSocket) -> None:
    """A call without a session made before it."""
    ctx: Context = socket.app.state.context
    await Call(socket, ctx.desk, idle=ctx.settings.voice_timeout, now=time.time).carry()


@router.websocket("/api/v1/voice/session/{session_id}/ws")
async def session(socket: WebSocket, session_id: str) -> None:
    """The sound, the words and the state of a session."""
    ctx: Context = socket.app.state.context
    visit = Visit(socket, ctx.desk, ctx.calls, idle=ctx.settings.voice_timeout)
    await visit.carry(session_id)
