"""Permission as a parameter type: a route's signature says who may come in.

The default is closed. `Person`, `Staff`, `Admin` and `Caller` guard; a route without one of them
must be marked `PUBLIC`, which `tokens.guards.unguarded` checks.
"""

from collections.abc import Awaitable, Callable
from typing import Annotated

from fastapi import Depends, Request
from fastapi.security import HTTPBearer

import tokens
from kit.errors import Forbidden, InvalidToken
from kit.identity import Actor, Role, Verifier
from serving.app import PUBLIC

__all__ = [
    "PUBLIC", "Admin", "Caller", "Member", "Person", "Staff", "bearer_token", "require", "still_in",
]  # fmt: skip

bearer = HTTPBearer(auto_error=False, description="The access token of a session.")

guards: set[object] = set()
"""The dependencies that let nobody in without a token; tests walk the routes for them."""


def bearer_token(request: Request) -> str:
    """The one bearer token of a request."""
    values = request.headers.getlist("authorization")
    scheme, _, token = values[0].partition(" ") if len(values) == 1 else ("", "", "")
    if scheme.lower() != "bearer" or not token:
        raise InvalidToken
    return token


async def still_in(verifier: Verifier, actor: Actor) -> bool:
    """Whether the token that somebody came with holds still; for streams that outlive it."""
    try:
        await verifier.verify(actor.token or "")
    except InvalidToken:
        return False
    return True


def require(role: Role | None = None, *, guests: bool = True) -> Callable[..., Awaitable[Actor]]:
    """A dependency that answers the person who calls, who has `role` if one is named."""

    async def person(request: Request, _: Annotated[object, Depends(bearer)]) -> Actor:
        actor: Actor = await request.app.state.verifier.verify(bearer_token(request))
        if (role is not None and role not in actor.roles) or (not guests and actor.kind == "guest"):
            raise Forbidden
        return actor

    guards.add(person)
    return person


async def _service(request: Request) -> Actor:
    state = request.app.state
    return tokens.verify_service(
        bearer_token(request), state.service_secret, audience=state.service, now=state.clock()
    )


guards.add(_service)

Person = Annotated[Actor, Depends(require())]
"""Whoever is signed in, a guest too."""
Member = Annotated[Actor, Depends(require(guests=False))]
"""Whoever has an account."""
Staff = Annotated[Actor, Depends(require(Role.STAFF))]
Admin = Annotated[Actor, Depends(require(Role.ADMIN))]
Caller = Annotated[Actor, Depends(_service)]
"""Another service, by its service token."""
