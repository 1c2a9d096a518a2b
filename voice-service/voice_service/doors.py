"""Who may speak: people and, where ALLOW_GUEST_VOICE is on, guests."""

from typing import Annotated
from urllib.parse import urlsplit

from fastapi import Depends
from fastapi.requests import HTTPConnection

from kit.errors import Forbidden
from kit.identity import Actor
from tokens import doors
from voice_service.context import Context, Ctx


def admit(context: Context, actor: Actor) -> Actor:
    """The actor, unless it is a guest who may not come.

    Raises:
        Forbidden
    """
    if actor.kind == "guest" and not context.settings.allow_guest_voice:
        raise Forbidden("Voice is for those who are signed in.")
    return actor


async def _speaker(person: doors.Person, ctx: Ctx) -> Actor:
    return admit(ctx, person)


doors.guards.add(_speaker)

Speaker = Annotated[Actor, Depends(_speaker)]
"""Whoever is signed in, or a guest where guests may come."""


def public_socket(connection: HTTPConnection, path: str) -> str:
    """The absolute address of a socket as the client can reach it, behind the gateway or not."""
    given = connection.headers
    own = urlsplit(str(connection.url))
    host = given.get("x-forwarded-host") or own.netloc
    secure = (given.get("x-forwarded-proto") or own.scheme) in ("https", "wss")
    return f"{'wss' if secure else 'ws'}://{host}{path}"
