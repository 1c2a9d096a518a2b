"""Who acts: one small value that the door makes, the transaction carries and the database reads."""

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Literal, Protocol, Self
from uuid import UUID

Kind = Literal["person", "guest", "service"]

DATABASE_ROLES: dict[Kind, str] = {
    "person": "authenticated",
    "guest": "anon",
    "service": "service",
}


class Role(StrEnum):
    """What a person may be; every account starts as a patient."""

    PATIENT = "patient"
    STAFF = "staff"
    ADMIN = "admin"


@dataclass(frozen=True, slots=True)
class Actor:
    """The one on whose behalf a use case runs.

    A service that acts for a person has that person's `id`, so row-level security shows it
    that person's rows. `token` is the access token as it came, to be forwarded.
    """

    id: UUID | None
    kind: Kind
    roles: frozenset[Role] = frozenset()
    email: str | None = field(default=None, repr=False)
    session_id: UUID | None = None
    service: str | None = None
    token: str | None = field(default=None, repr=False, compare=False)

    @classmethod
    def of_person(
        cls,
        person: UUID,
        *,
        roles: Iterable[Role] = (Role.PATIENT,),
        email: str | None = None,
        session_id: UUID | None = None,
    ) -> Self:
        """A signed-in person."""
        return cls(person, "person", frozenset(roles), email, session_id)

    @classmethod
    def of_service(cls, name: str, acting_for: UUID | None = None) -> Self:
        """The service `name` itself or, with `acting_for`, on behalf of that person."""
        return cls(acting_for, "service", service=name)

    def claims(self) -> str:
        """JSON for `request.jwt.claims`, as `auth.uid()` and the policies read it."""
        claims: dict[str, Any] = {"role": DATABASE_ROLES[self.kind]}
        if self.id is not None:
            claims["sub"] = str(self.id)
        if self.session_id is not None:
            claims["session_id"] = str(self.session_id)
        if self.service is not None:
            claims["service"] = self.service
        claims["app_metadata"] = {"roles": sorted(self.roles)}
        return json.dumps(claims)


class Verifier(Protocol):
    """Turns the access token of a person into the actor who calls."""

    async def verify(self, token: str) -> Actor:
        """Raises InvalidToken or ServiceUnavailable."""
