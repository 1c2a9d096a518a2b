"""`GET /api/v1/auth/me/export`: everything about the caller, as one document."""

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import AsyncExitStack, aclosing
from datetime import datetime, timedelta
from uuid import UUID

import anyio
from fastapi import APIRouter
from fastapi.responses import StreamingResponse

from auth_service.context import Context, Ctx
from auth_service.export import document, store
from auth_service.export.holders import Rows
from auth_service.export.sections import SECTIONS
from kit.errors import DomainError, InvalidToken, Kind
from privacy import people
from tokens import doors

LEASE = timedelta(minutes=10)
"""How long an export may take; one whose instance died keeps others away no longer than that."""

router = APIRouter(prefix="/api/v1/auth", tags=["privacy"])


class ExportRuns(DomainError):
    """An export of yours is running; wait until it has ended."""

    kind = Kind.TOO_MANY
    code = "export.running"
    retry_after = 30


@router.get(
    "/me/export",
    response_class=StreamingResponse,
    responses={200: {"content": {"application/json": {}}, "description": "The document."}},
)
async def export(caller: doors.Person, ctx: Ctx) -> StreamingResponse:
    """Every row about the caller from every service, as one JSON document that is streamed."""
    if caller.id is None:
        raise InvalidToken
    now = ctx.clock()
    until = now + LEASE
    async with ctx.db.transaction(ctx.actor) as tx:
        if not await store.claim(tx, caller.id, now=now, until=until):
            raise InvalidToken if await store.is_erased(tx, caller.id) else ExportRuns
    stack = AsyncExitStack()
    stack.push_async_callback(_release, ctx, caller.id, until)
    try:
        own = people.rows(ctx.db, ctx.actor, SECTIONS, caller.id)
        services: dict[str, Rows] = {"auth": own}
        for name in ctx.holders.urls:
            services[name] = await ctx.holders.open(stack, name, caller.id)
    except BaseException:
        await stack.aclose()
        raise
    parts = document.write(caller.id, now, services)
    return StreamingResponse(
        _until_the_end(stack, parts),
        media_type="application/json",
        headers={"content-disposition": 'attachment; filename="medbot-export.json"'},
    )


async def _until_the_end(
    stack: AsyncExitStack, parts: AsyncGenerator[bytes, None]
) -> AsyncIterator[bytes]:
    async with stack, aclosing(parts):
        async for part in parts:
            yield part


async def _release(ctx: Context, person: UUID, until: datetime) -> None:
    # The reader who leaves cancels everything that still runs for them, but not this.
    with anyio.CancelScope(shield=True):
        async with ctx.db.transaction(ctx.actor) as tx:
            await store.release(tx, person, until=until)
