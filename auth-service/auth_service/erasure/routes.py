"""Erasing oneself over HTTP."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Request

from auth_service.context import Context, Ctx
from auth_service.erasure import actions, store
from auth_service.erasure.models import Erasure, Requested
from kit.errors import NotFound
from kit.identity import Actor
from tokens import doors

router = APIRouter(prefix="/api/v1/auth", tags=["privacy"])


async def _leaving(request: Request, _: Annotated[object, Depends(doors.bearer)]) -> Actor:
    """Whose token this is, also when its session has ended: the action judges that."""
    context: Context = request.app.state.context
    return await context.unended.verify(doors.bearer_token(request))


doors.guards.add(_leaving)
Leaving = Annotated[Actor, Depends(_leaving)]


@router.delete("/me", status_code=202)
async def erase(caller: Leaving, ctx: Ctx) -> Requested:
    """Erases the caller everywhere. Sent again, also with the token that this ended, it answers
    the same id."""
    counters = [ctx.gate.attempt(caller.email, "").account] if caller.email is not None else []
    async with ctx.db.transaction(ctx.actor) as tx:
        erasure_id, ended = await actions.request(
            tx, ctx.directory, caller, counters, now=ctx.clock()
        )
    ctx.verifier.ended(ended)
    return Requested(erasure_id=erasure_id)


@router.get("/erasures/{erasure_id}", openapi_extra=doors.PUBLIC)
async def follow(erasure_id: UUID, ctx: Ctx) -> Erasure:
    """How far an erasure is, for whoever knows its id; it names nobody."""
    async with ctx.db.transaction(ctx.actor) as tx:
        found = await store.get(tx, erasure_id)
    if found is None:
        raise NotFound
    return found
