"""Errors as the sockets say them: a message, and the code that the socket closes with."""

from pydantic import ValidationError

from kit.errors import DomainError, Kind
from voice_service.sessions.models import SessionTaken
from voice_service.sockets.lines import Code

MAX_WRONG = 20
"""So many messages that cannot be used close the socket."""

_CODES = {
    Kind.UNAUTHENTICATED: Code.TOKEN,
    Kind.FORBIDDEN: Code.TOKEN,
    Kind.NOT_FOUND: Code.NOT_YOURS,
    Kind.CONFLICT: Code.ENDED,
    Kind.TOO_MANY: Code.TOO_MANY,
    Kind.UNAVAILABLE: Code.TRY_LATER,
    Kind.INVALID: Code.MISUSED,
    Kind.TOO_LARGE: Code.TOO_BIG,
}


class BadMessage(DomainError):
    """This message is not in the protocol."""

    code = "voice.bad_message"


class NotStarted(DomainError):
    """Start the session first."""

    kind = Kind.CONFLICT
    code = "voice.not_started"


class TooFast(DomainError):
    """Messages come faster than they can be answered; send this one again in a moment."""

    kind = Kind.TOO_MANY
    code = "voice.too_fast"


class TooIdle(DomainError):
    """Nothing was heard for too long."""

    kind = Kind.UNAVAILABLE
    code = "voice.idle"


class Broken(DomainError):
    """The session broke off."""

    kind = Kind.UNAVAILABLE
    code = "voice.failed"


class TooManyWrong(DomainError):
    """Too many messages could not be used."""

    kind = Kind.TOO_MANY
    code = "voice.too_many_errors"


def closing(error: DomainError) -> Code:
    """The code that the socket closes with after an error that ends it."""
    if error.code == SessionTaken.code:
        return Code.TAKEN_OVER
    return _CODES[error.kind]


def wrong(error: DomainError | ValidationError) -> DomainError:
    """What was wrong with a message."""
    if isinstance(error, DomainError):
        return error
    places = sorted({str(place) for one in error.errors() for place in one["loc"][-1:]})
    named = ", ".join(place for place in places if place.isidentifier())[:100]
    return BadMessage(f"this message is not in the protocol{f': {named}' if named else ''}")
