"""`GET /api/v1/events`: the caller's live updates."""

import contextlib
from collections.abc import AsyncGenerator
from typing import Annotated

from fastapi import APIRouter, Header
from starlette.responses import StreamingResponse

from conversation_service import sse
from conversation_service.context import Context, Ctx
from conversation_service.feed import store
from kit.database import CONNECTION_ERRORS
from kit.errors import ServiceUnavailable
from kit.identity import Actor
from tokens import doors
from tokens.doors import Person

BATCH = 100

router = APIRouter(tags=["events"])

LastEventId = Annotated[str | None, Header(pattern=r"^[0-9]{1,18}$")]


@router.get(
    "/api/v1/events",
    response_class=StreamingResponse,
    responses={200: {"content": {sse.MEDIA_TYPE: {}}, "description": "Live updates."}},
)
async def events(person: Person, ctx: Ctx, last_event_id: LastEventId = None) -> StreamingResponse:
    """Live updates from now on, or after `Last-Event-ID`; too old an id is told by `reset`."""
    since = int(last_event_id) if last_event_id is not None else None
    return sse.response(_follow(ctx, person, since))


async def _follow(
    ctx: Context, person: Actor, since: int | None
) -> AsyncGenerator[sse.ServerEvent, None]:
    """A database that is away is a clean end: browsers come again after the last id."""
    away = contextlib.suppress(*CONNECTION_ERRORS, ServiceUnavailable)
    with away, ctx.signals.on(store.topic(person.id)) as woken:
        async with ctx.db.transaction(person) as tx:
            before, newest = await store.bounds(tx, person.id)
        place = newest if since is None else since
        if not before <= place <= newest:
            place = newest
            yield sse.ServerEvent("reset", {"seq": newest}, str(newest))
        leaving = ctx.ground.drain.closing
        while not leaving.is_set() and await doors.still_in(ctx.ground.verifier, person):
            async with ctx.db.transaction(person) as tx:
                entries = await store.after(tx, person.id, place, BATCH)
            for entry in entries:
                place = entry.seq
                data = {"seq": entry.seq, "type": entry.type, "ref": entry.ref}
                yield sse.ServerEvent(entry.type, data, str(entry.seq))
            if len(entries) < BATCH:
                await woken()
