"""Consents over HTTP; they are given and withdrawn through the profile."""

from uuid import UUID

from fastapi import APIRouter

from auth_service.consents import store
from auth_service.consents.models import Consents
from auth_service.context import Ctx
from auth_service.profiles import store as profiles
from kit.errors import InvalidToken
from kit.identity import Actor
from tokens import doors

MOST = 200
"""Decisions that are shown; the export has all."""

router = APIRouter(prefix="/api/v1/profile/consents", tags=["profile"])


@router.get("")
async def read(caller: doors.Member, ctx: Ctx) -> Consents:
    """What is asked today in the caller's language, and what the caller has decided so far."""
    user_id = _id(caller)
    async with ctx.db.transaction(caller) as tx:
        profile = await profiles.get(tx, user_id)
        history = await store.history(tx, user_id, limit=MOST)
    asked = ctx.wordings.asked(profile.locale if profile is not None else None)
    return Consents(wordings=asked, history=history)


def _id(caller: Actor) -> UUID:
    if caller.id is None:
        raise InvalidToken
    return caller.id
