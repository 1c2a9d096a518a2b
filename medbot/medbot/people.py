"""Accounts from the command line, by the auth service's own code."""

from collections.abc import Iterable
from uuid import UUID

import typer
from pydantic import SecretStr, ValidationError

from auth_service.accounts import actions
from auth_service.accounts.models import Register, User
from auth_service.administration import actions as administration
from auth_service.administration import store
from auth_service.administration.models import Person, PersonSession
from auth_service.context import open_context
from auth_service.settings import Settings
from kit.identity import Role
from medbot import office
from medbot.terminal import Failed
from privacy.audit import Desk, seal_of


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
        user = await actions.create(ctx.provider, wanted)
        if set(roles) - set(user.roles):
            desk = Desk(ctx.db, ctx.actor, None, seal_of(ctx.ground.service_secret), ctx.clock)
            given = {*roles, Role.PATIENT}
            user, _ = await administration.set_roles(
                desk, ctx.directory, user.id, given, now=ctx.clock()
            )
    return user


async def give_roles(settings: Settings, who: str, roles: Iterable[Role]) -> Person:
    """Gives an account exactly these roles.

    Raises:
        Failed, NotFound
    """
    async with office.open_office(settings) as open_:
        found = await office.find(open_.desk, who)
        person, _ = await administration.set_roles(
            open_.desk, open_.directory, found, roles, now=open_.desk.clock()
        )
        return person


async def search(
    settings: Settings, email: str | None, role: Role | None, *, locked: bool | None, limit: int
) -> list[Person]:
    """Accounts, newest first; `email` is any part of an address."""
    async with (
        office.open_office(settings) as open_,
        open_.desk.transaction("people.find") as record,
    ):
        found, _ = await store.find(
            record, email=email, role=role, locked=locked, after=None, limit=limit
        )
        return found


async def lock(settings: Settings, who: str, *, locked: bool) -> Person:
    """Locks an account and ends its sessions, or unlocks it.

    Raises:
        Failed, NotFound
    """
    async with office.open_office(settings) as open_:
        found = await office.find(open_.desk, who)
        now = open_.desk.clock()
        if not locked:
            return await administration.unlock(open_.desk, open_.directory, found, now=now)
        return (await administration.lock(open_.desk, open_.directory, found, now=now))[0]


async def sessions(settings: Settings, who: str) -> list[PersonSession]:
    """Where somebody is signed in.

    Raises:
        Failed, NotFound
    """
    async with office.open_office(settings) as open_:
        found = await office.find(open_.desk, who)
        async with open_.desk.transaction("people.sessions") as record:
            await administration.get(record, found)
            return await store.list_sessions(record, found)


async def end_sessions(settings: Settings, who: str, session: UUID | None) -> int:
    """Ends one session of somebody, or all; answers how many.

    Raises:
        Failed, NotFound
    """
    async with office.open_office(settings) as open_:
        found = await office.find(open_.desk, who)
        now = open_.desk.clock()
        ended = await administration.end_sessions(
            open_.desk, open_.directory, found, session, now=now
        )
        return len(ended)


def ask_password(*, from_stdin: bool) -> str:
    """The new password: the first line of stdin, or typed twice without being shown."""
    if from_stdin:
        return typer.get_text_stream("stdin").readline().rstrip("\r\n")
    typed: str = typer.prompt("Password", hide_input=True, confirmation_prompt=True)
    return typed
