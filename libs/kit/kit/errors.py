"""Errors as facts about the domain; each edge chooses the words and the status once.

DomainError
├── (one class a fact, in the slice that knows it)
└── InvalidToken, ServiceUnavailable, … (here, because every service meets them)
"""

from enum import StrEnum
from typing import ClassVar


class Kind(StrEnum):
    """What sort of refusal an error is; HTTP, AMQP and voice each translate it."""

    INVALID = "invalid"
    UNAUTHENTICATED = "unauthenticated"
    FORBIDDEN = "forbidden"
    NOT_FOUND = "not_found"
    CONFLICT = "conflict"
    TOO_LARGE = "too_large"
    TOO_MANY = "too_many"
    UNAVAILABLE = "unavailable"


class DomainError(Exception):
    """Something that the caller can understand went wrong.

    A subclass states `kind` and `code`; its docstring is the message unless one is given.
    `retry_after` is in seconds. Messages never hold a patient's words.
    """

    kind: ClassVar[Kind] = Kind.INVALID
    code: ClassVar[str] = "request.invalid"
    retry_after: int | None = None

    def __init__(self, message: str | None = None, *, retry_after: int | None = None) -> None:
        doc = type(self).__doc__ or type(self).__name__
        self.message = message if message is not None else doc.strip().splitlines()[0]
        if retry_after is not None:
            self.retry_after = retry_after
        super().__init__(self.message)


class InvalidToken(DomainError):
    """The access token is missing, expired or not valid."""

    kind = Kind.UNAUTHENTICATED
    code = "auth.invalid_token"


class Forbidden(DomainError):
    """Your role does not allow this."""

    kind = Kind.FORBIDDEN
    code = "auth.forbidden"


class NotFound(DomainError):
    """There is nothing here."""

    kind = Kind.NOT_FOUND
    code = "request.not_found"


class ServiceUnavailable(DomainError):
    """A part that this needs is not available now."""

    kind = Kind.UNAVAILABLE
    code = "service.unavailable"
    retry_after = 1


class Misconfigured(Exception):
    """The environment cannot be used as it stands; the message is one line that names the value."""
