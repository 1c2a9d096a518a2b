"""Who may speak: people and, where ALLOW_GUEST_VOICE is on, guests; and where they are."""

import re
from typing import Annotated
from urllib.parse import urlsplit

from fastapi import Depends
from fastapi.requests import HTTPConnection

from kit.errors import Forbidden
from kit.identity import Actor
from tokens import doors
from voice_service.context import Context, Ctx
from voice_service.sessions.models import HERE


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

_TAG = re.compile(r"[A-Za-z]{1,8}(-[A-Za-z0-9]{1,8})*")
LONGEST_TAG = 35


def locale(connection: HTTPConnection) -> str:
    """The language and place asked for first, as in `en-US,en;q=0.9`; Britain without one."""
    asked = connection.headers.get("accept-language", "")
    first = asked.partition(",")[0].partition(";")[0].strip()
    return first if len(first) <= LONGEST_TAG and _TAG.fullmatch(first) else HERE


Locale = Annotated[str, Depends(locale)]


def public_socket(connection: HTTPConnection, path: str) -> str:
    """The absolute address of a socket as the client can reach it, behind the gateway or not."""
    given = connection.headers
    own = urlsplit(str(connection.url))
    host = given.get("x-forwarded-host") or own.netloc
    secure = (given.get("x-forwarded-proto") or own.scheme) in ("https", "wss")
    return f"{'wss' if secure else 'ws'}://{host}{path}"
