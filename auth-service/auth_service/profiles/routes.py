"""Profiles over HTTP."""

from uuid import UUID

from fastapi import APIRouter

from auth_service.context import Ctx
from auth_service.profiles import actions
from auth_service.profiles.models import ChangeProfile, Profile
from kit.errors import InvalidToken
from kit.identity import Actor
from tokens import doors

router = APIRouter(prefix="/api/v1/profile", tags=["profile"])


@router.get("")
async def read(caller: doors.Member, ctx: Ctx) -> Profile:
    """The caller's profile."""
    async with ctx.db.transaction(caller) as tx:
        return await actions.read(tx, _id(caller))


@router.put("")
async def change(wanted: ChangeProfile, caller: doors.Member, ctx: Ctx) -> Profile:
    """Sets the fields that are sent."""
    async with ctx.db.transaction(caller) as tx:
        return await actions.change(
            tx,
            _id(caller),
            wanted,
            now=ctx.clock(),
            time_zones=ctx.time_zones,
            wordings=ctx.wordings,
        )


def _id(caller: Actor) -> UUID:
    if caller.id is None:
        raise InvalidToken
    return caller.id
