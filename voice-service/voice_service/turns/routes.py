"""What whoever runs a session, and the conversation service, call: service tokens alone."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Path, Query
from starlette.responses import Response

from contracts.voice import MOST, Changes, Heartbeat, Plan, RecordedTurns, SpokenTurn
from tokens.doors import Caller
from voice_service.context import Ctx
from voice_service.sessions import actions as sessions
from voice_service.turns import actions, counting, store
from voice_service.turns.models import TurnDiffers

router = APIRouter(prefix="/internal/sessions", include_in_schema=False)

Seq = Annotated[int, Path(ge=1, le=MOST)]


@router.get("/{session_id}")
async def plan(session_id: UUID, caller: Caller, ctx: Ctx) -> Plan:
    """All that a session needs to begin, or to go on."""
    return await sessions.plan(ctx.sessions, session_id)


@router.put("/{session_id}/turns/{seq}", status_code=204, response_class=Response)
async def record(session_id: UUID, seq: Seq, turn: SpokenTurn, caller: Caller, ctx: Ctx) -> None:
    """Stores a turn; the same again changes nothing."""
    if turn.seq != seq:
        raise TurnDiffers
    if await actions.record(ctx.db, ctx.sessions.budget, session_id, turn):
        counting.pass_on_waits(turn)
    ctx.signals.nudge(store.recorded(session_id))


@router.get("/{session_id}/turns")
async def recorded(
    session_id: UUID,
    caller: Caller,
    ctx: Ctx,
    after: Annotated[int, Query(ge=0, le=MOST)] = 0,
    elsewhere: bool = False,
) -> RecordedTurns:
    """The turns beyond a number; the conversation goes on `elsewhere` where somebody writes."""
    return await actions.recorded(ctx.db, session_id, after, elsewhere=elsewhere)


@router.put("/{session_id}/heartbeat", status_code=204, response_class=Response)
async def beat(session_id: UUID, heard: Heartbeat, caller: Caller, ctx: Ctx) -> None:
    """A sign of life, and how the session is."""
    await sessions.beat(ctx.db, session_id, heard, longest=ctx.sessions.rules.longest)
    counting.pass_on(heard.fallbacks)


@router.get("/{session_id}/changes")
async def changes(
    session_id: UUID,
    caller: Caller,
    ctx: Ctx,
    cursor: Annotated[str, Query(max_length=100)] = "",
    within: Annotated[float, Query(ge=0, le=actions.WAIT_WITHIN)] = actions.WAIT_WITHIN,
) -> Changes:
    """What changed since the cursor; waits while nothing has."""
    return await actions.changes(ctx.sessions, ctx.signals, session_id, cursor, within=within)
