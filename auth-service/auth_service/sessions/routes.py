"""What verifiers of tokens ask for: the keys, and the sessions that ended."""

from typing import Annotated, Any

from fastapi import APIRouter, Query, Response

from auth_service.context import Ctx
from auth_service.sessions import store
from contracts.sessions import EndedSessions
from tokens import doors

KEYS_KEPT = 600
"""Seconds for which a client may keep the keys."""

router = APIRouter(tags=["accounts"])


@router.get("/.well-known/jwks.json", openapi_extra=doors.PUBLIC)
async def jwks(response: Response, ctx: Ctx) -> dict[str, Any]:
    """The public keys that access tokens are verified with."""
    response.headers["cache-control"] = f"public, max-age={KEYS_KEPT}"
    return dict(ctx.provider.jwks())


@router.post("/internal/people/sighted", status_code=204, include_in_schema=False)
async def sighted(_: doors.Member) -> None:
    """The gateway shows a token that is new to it: the door here takes note of whose it is."""


@router.get("/internal/sessions/ended", include_in_schema=False)
async def ended(
    caller: doors.Caller, ctx: Ctx, after: Annotated[int, Query(ge=0, lt=2**63)] = 0
) -> EndedSessions:
    """The sessions that ended after a cursor, oldest first."""
    async with ctx.db.transaction(ctx.actor) as tx:
        return await store.list_after(tx, after)
