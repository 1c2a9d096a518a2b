"""Tokens with which one service calls another."""

import json
from collections.abc import Callable, Generator
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import httpx

from kit import trace
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


@dataclass(frozen=True)
class ServiceAuth(httpx.Auth):
    """Shows with each request which service calls which, for `person` if any, and in what trace."""

    secret: str = field(repr=False)
    caller: str
    audience: str
    clock: Callable[[], datetime]
    person: UUID | None = None

    def acting_for(self, person: UUID) -> "ServiceAuth":
        """The same for a person."""
        return replace(self, person=person)

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        """What httpx asks for."""
        token = service_token(
            self.secret,
            caller=self.caller,
            audience=self.audience,
            now=self.clock(),
            person=self.person,
        )
        request.headers["authorization"] = f"Bearer {token}"
        request.headers.update(trace.outgoing_headers())
        yield request


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
