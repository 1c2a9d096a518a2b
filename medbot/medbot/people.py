"""Accounts from the command line, by the auth service's own code."""

from collections.abc import Iterable

import typer
from pydantic import SecretStr, ValidationError

from auth_service import emails
from auth_service.accounts import actions
from auth_service.accounts.models import Register, User
from auth_service.context import Context, open_context
from auth_service.providers import local, store
from auth_service.settings import Settings
from kit.identity import Role
from medbot.terminal import Failed


async def create(
    settings: Settings, email: str, password: str, *, name: str | None, roles: Iterable[Role]
) -> User:
    """Makes an account.

    Raises:
        Failed: the e-mail address or the name cannot be used.
        WeakPassword, EmailTaken
    """
    try:
        wanted = Register(email=email, password=SecretStr(password), full_name=name)
    except ValidationError as refused:
        first = refused.errors()[0]
        raise Failed(f"{first['loc'][0]}: {first['msg'].removeprefix('Value error, ')}") from None
    async with open_context(settings) as ctx:
        user = (await actions.register(ctx.provider, wanted)).user
        if set(roles) - set(user.roles):
            user = await _set(ctx, user.email, {*roles, Role.PATIENT})
    return user


async def give_roles(settings: Settings, email: str, roles: Iterable[Role]) -> User:
    """Gives an account exactly these roles.

    Raises:
        Failed: nobody has this e-mail address.
    """
    async with open_context(settings) as ctx:
        return await _set(ctx, email, set(roles))


async def _set(ctx: Context, email: str, roles: Iterable[Role]) -> User:
    try:
        address = emails.normalise(email)
    except ValueError as error:
        raise Failed(f"email: {error}") from None
    async with ctx.db.transaction(local.ACTOR) as tx:
        known = await store.get_credentials(tx, address)
    if known is None:
        raise Failed(f"nobody has the e-mail address {address}")
    return await actions.set_roles(ctx.provider, ctx.ground.verifier, known.user_id, roles)


def ask_password(*, from_stdin: bool) -> str:
    """The new password: the first line of stdin, or typed twice without being shown."""
    if from_stdin:
        return typer.get_text_stream("stdin").readline().rstrip("\r\n")
    typed: str = typer.prompt("Password", hide_input=True, confirmation_prompt=True)
    return typed
