"""Tokens with which one service calls another."""

import json
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from kit.errors import InvalidToken
from kit.identity import Actor
from tokens import signed

SERVICE_TYPE = "service+jwt"


def service_token(
    secret: str,
    *,
    caller: str,
    audience: str,
    now: datetime,
    person: UUID | None = None,
    ttl: timedelta = timedelta(seconds=60),
) -> str:
    """A token with which the service `caller` calls the service `audience`, for `person` if any."""
    issued = int(now.timestamp())
    claims: dict[str, Any] = {
        "iss": caller,
        "aud": audience,
        "iat": issued,
        "exp": issued + int(ttl.total_seconds()),
    }
    if person is not None:
        claims["sub"] = str(person)
    payload = json.dumps(claims, separators=(",", ":")).encode()
    return signed.jws.encode(payload, secret, algorithm="HS256", headers={"typ": SERVICE_TYPE})


def verify_service(token: str, secret: str, *, audience: str, now: datetime) -> Actor:
    """The calling service as an actor.

    Raises:
        InvalidToken: it is not a service token for `audience` that holds at `now`.
    """
    if signed.header(token).get("typ") != SERVICE_TYPE:
        raise InvalidToken
    claims = signed.checked(token, signed.shared_key(secret), kind=SERVICE_TYPE)
    signed.check_times(claims, now.timestamp())
    caller = claims.get("iss")
    if claims.get("aud") != audience or not isinstance(caller, str) or not caller:
        raise InvalidToken
    person = signed.uuid_of(claims["sub"]) if "sub" in claims else None
    return Actor.of_service(caller, acting_for=person)
