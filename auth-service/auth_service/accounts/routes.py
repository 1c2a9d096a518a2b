"""Accounts over HTTP."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query
from starlette.responses import Response

from auth_service.accounts import actions
from auth_service.accounts.client import Seen
from auth_service.accounts.models import (
    ChangePassword,
    Forgot,
    Login,
    MailedToken,
    Refresh,
    Register,
    Reset,
    Scope,
    SetRoles,
    SignedIn,
    User,
    Valid,
    ValidUser,
)
from auth_service.administration import actions as administration
from auth_service.context import Ctx
from auth_service.sessions.models import OpenSession
from kit.paging import Page
from privacy import audit
from tokens import doors

router = APIRouter(prefix="/api/v1/auth", tags=["accounts"])


@router.post("/register", status_code=201, openapi_extra=doors.PUBLIC)
async def register(wanted: Register, client: Seen, ctx: Ctx) -> SignedIn:
    """Makes an account and signs it in; where addresses are confirmed, mails a link first."""
    return await actions.register(ctx.provider, wanted, client)


@router.post("/verify", status_code=204, openapi_extra=doors.PUBLIC)
async def verify(given: MailedToken, ctx: Ctx) -> None:
    """Confirms an e-mail address by the token of a mailed link."""
    await ctx.provider.verify(given.token.get_secret_value())


@router.post("/login", openapi_extra=doors.PUBLIC)
async def login(given: Login, client: Seen, ctx: Ctx) -> SignedIn:
    """Opens a session."""
    return await actions.login(ctx.provider, ctx.gate, ctx.verifier, given, client)


@router.post(
    "/password/forgot", status_code=202, response_class=Response, openapi_extra=doors.PUBLIC
)
async def forgot(given: Forgot, ctx: Ctx) -> Response:
    """Mails a link to set a new password, if there is such an account."""
    await actions.forgot(ctx.provider, given.email)
    return Response(status_code=202)


@router.post("/password/reset", status_code=204, openapi_extra=doors.PUBLIC)
async def reset(given: Reset, client: Seen, ctx: Ctx) -> None:
    """Sets a new password by the token of a mailed link; every session ends."""
    await actions.reset_password(ctx.provider, ctx.gate, ctx.verifier, given, client)


@router.post("/password", status_code=204)
async def change_password(
    given: ChangePassword, caller: doors.Member, client: Seen, ctx: Ctx
) -> None:
    """Sets a new password; the other sessions end."""
    await actions.change_password(ctx.provider, ctx.gate, ctx.verifier, caller, given, client)


@router.post("/refresh", openapi_extra=doors.PUBLIC)
async def refresh(given: Refresh, ctx: Ctx) -> SignedIn:
    """Exchanges a refresh token for a new one and a new access token."""
    return await ctx.provider.refresh(given.refresh_token.get_secret_value())


@router.post("/logout", status_code=204)
async def logout(
    caller: doors.Member, ctx: Ctx, scope: Annotated[Scope, Query()] = "local"
) -> None:
    """Ends this session or, with `scope=global`, all of the caller's."""
    await actions.logout(ctx.provider, ctx.verifier, caller, scope)


@router.get("/sessions")
async def sessions(caller: doors.Member, ctx: Ctx) -> Page[OpenSession]:
    """Where the caller is signed in."""
    return Page(items=list(await ctx.provider.sessions(caller)))


@router.delete("/sessions/{session_id}", status_code=204)
async def end_session(session_id: UUID, caller: doors.Member, ctx: Ctx) -> None:
    """Ends one of the caller's sessions."""
    await actions.end_session(ctx.provider, ctx.verifier, caller, session_id)


@router.get("/validate")
async def validate(caller: doors.Member, ctx: Ctx) -> Valid:
    """Says whose token this is, as long as it holds."""
    user = await ctx.provider.user(caller)
    return Valid(user=ValidUser(id=user.id, email=user.email, roles=user.roles))


@router.get("/me")
async def me(caller: doors.Member, ctx: Ctx) -> User:
    """The caller's account."""
    return await ctx.provider.user(caller)


@router.put("/users/{user_id}/roles")
async def set_roles(user_id: UUID, wanted: SetRoles, desk: audit.AdminDesk, ctx: Ctx) -> User:
    """Gives somebody exactly these roles."""
    person, ended = await administration.set_roles(
        desk, ctx.directory, user_id, wanted.roles, now=ctx.clock()
    )
    ctx.verifier.ended(ended)
    return person
