"""`WS /ws/transcript/{session_id}`: the turns of a session of the caller, as they come."""

from typing import Annotated
from uuid import UUID

import anyio
from fastapi import APIRouter, Query, WebSocket, WebSocketDisconnect

from contracts.voice import MOST
from kit.errors import DomainError, NotFound
from kit.identity import Actor
from tokens import doors as kit_doors
from voice_service import sockets_door
from voice_service.context import Context, Ctx
from voice_service.sessions import actions as sessions
from voice_service.sockets.lines import Code
from voice_service.turns import store

PAGE = 100

router = APIRouter()


@router.websocket("/ws/transcript/{session_id}")
async def transcript(
    socket: WebSocket,
    session_id: str,
    ctx: Ctx,
    after: Annotated[int, Query(ge=0, le=MOST)] = 0,
) -> None:
    """Every turn beyond `after`, oldest first, then each new one; ends with the session."""
    person = await sockets_door.enter(socket, ctx)
    if person is None:
        return
    try:
        session = UUID(session_id)
    except ValueError:
        await socket.close(Code.NOT_YOURS)
        return
    async with anyio.create_task_group() as both:
        both.start_soon(_watch, socket, both.cancel_scope)
        await _tell(socket, ctx, person, session, after)
        both.cancel_scope.cancel()


async def _watch(socket: WebSocket, scope: anyio.CancelScope) -> None:
    """Ends the telling when the reader has gone; what a reader says is of no use."""
    try:
        while True:
            await socket.receive_text()
    except (WebSocketDisconnect, RuntimeError, KeyError):
        scope.cancel()


async def _tell(
    socket: WebSocket, ctx: Context, person: Actor, session_id: UUID, after: int
) -> None:
    with ctx.signals.on(store.recorded(session_id), f"voice:{session_id}") as woken:
        while await kit_doors.still_in(ctx.ground.verifier, person):
            try:
                async with ctx.db.transaction(person) as tx:
                    row = await sessions.require(tx, session_id)
                    turns = await store.after(tx, session_id, after, PAGE)
            except NotFound:
                await socket.close(Code.NOT_YOURS)
                return
            except DomainError:
                await socket.close(Code.TRY_LATER)
                return
            for turn in turns:
                after = turn.seq
                said = {"seq": turn.seq, "role": turn.role, "text": turn.text, "final": True}
                await socket.send_json(said)
            if len(turns) < PAGE:
                if row.over and after >= row.last_seq:  # else a turn is open, and will be closed
                    await socket.close()
                    return
                await woken()
    await socket.close(Code.TOKEN)
