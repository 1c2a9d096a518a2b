"""Accounts over HTTP."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query

from auth_service.accounts import actions
from auth_service.accounts.models import (
    Login,
    Refresh,
    Register,
    Scope,
    SetRoles,
    SignedIn,
    User,
    Valid,
    ValidUser,
)
from auth_service.administration import actions as administration
from auth_service.context import Ctx
from kit import audit, doors

router = APIRouter(prefix="/api/v1/auth", tags=["accounts"])


@router.post("/register", status_code=201, openapi_extra=doors.PUBLIC)
async def register(wanted: Register, ctx: Ctx) -> SignedIn:
    """Makes an account and signs it in."""
    return await actions.register(ctx.provider, wanted)


@router.post("/login", openapi_extra=doors.PUBLIC)
async def login(given: Login, ctx: Ctx) -> SignedIn:
    """Opens a session."""
    return await ctx.provider.login(given.email, given.password.get_secret_value())


@router.post("/refresh", openapi_extra=doors.PUBLIC)
async def refresh(given: Refresh, ctx: Ctx) -> SignedIn:
    """Exchanges a refresh token for a new one and a new access token."""
    return await ctx.provider.refresh(given.refresh_token.get_secret_value())


@router.post("/logout", status_code=204)
async def logout(
    caller: doors.Person, ctx: Ctx, scope: Annotated[Scope, Query()] = "local"
) -> None:
    """Ends this session or, with `scope=global`, all of the caller's."""
    await actions.logout(ctx.provider, ctx.ground.verifier, caller, scope)


@router.get("/validate")
async def validate(caller: doors.Person, ctx: Ctx) -> Valid:
    """Says whose token this is, as long as it holds."""
    user = await ctx.provider.user(caller)
    return Valid(user=ValidUser(id=user.id, email=user.email, roles=user.roles))


@router.get("/me")
async def me(caller: doors.Person, ctx: Ctx) -> User:
    """The caller's account."""
    return await ctx.provider.user(caller)


@router.put("/users/{user_id}/roles")
async def set_roles(user_id: UUID, wanted: SetRoles, desk: audit.AdminDesk, ctx: Ctx) -> User:
    """Gives somebody exactly these roles."""
    person, ended = await administration.set_roles(desk, user_id, wanted.roles, now=ctx.clock())
    ctx.ground.verifier.ended(ended)
    return person
