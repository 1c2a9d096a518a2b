"""Guests over HTTP."""

from fastapi import APIRouter

from auth_service.accounts.client import Seen
from auth_service.accounts.models import GuestSession
from auth_service.context import Ctx
from auth_service.guests import actions, store
from auth_service.guests.models import Join, NoGuests
from tokens import doors

router = APIRouter(prefix="/api/v1/auth/guest", tags=["accounts"])


@router.post("", status_code=201, openapi_extra=doors.PUBLIC)
async def come_in(ctx: Ctx, client: Seen) -> GuestSession:
    """A session without an account, for an hour."""
    if not ctx.allow_guests:
        raise NoGuests
    guest, now = await ctx.provider.guest(), ctx.clock()
    place = actions.place(ctx.ground.service_secret, client.address, now=now)
    async with ctx.db.transaction(ctx.actor) as tx:
        await store.come(tx, guest.guest_id, place, now=now)
    return guest


@router.post("/join", status_code=204)
async def join(given: Join, caller: doors.Member, ctx: Ctx) -> None:
    """Makes what a guest did the caller's."""
    token = given.guest_token.get_secret_value()
    ended = await actions.join(ctx.db, ctx.actor, ctx.unended, caller, token, now=ctx.clock())
    ctx.verifier.ended([ended])
