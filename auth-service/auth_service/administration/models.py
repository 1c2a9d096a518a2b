"""Accounts and dead letters as who runs the installation sees them."""

from datetime import datetime
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from auth_service.accounts.models import User
from kit.errors import DomainError, Kind


class Person(User):
    """An account; `locked_at` is there while it is locked."""

    locked_at: datetime | None


class PersonSession(BaseModel):
    """A sign-in that has not ended."""

    model_config = ConfigDict(frozen=True)

    id: UUID
    created_at: datetime
    used_at: datetime = Field(description="when its refresh token was last exchanged")


class Letter(BaseModel):
    """An event that no attempt could handle; `error` is a type, never a text."""

    model_config = ConfigDict(frozen=True, from_attributes=True)

    id: int
    queue: str
    event_id: str
    type: str | None
    attempts: int
    error: str
    died_at: datetime


class OwnAccount(DomainError):
    """This cannot be done to one's own account."""

    kind = Kind.CONFLICT
    code = "admin.own_account"


class NotAnEvent(DomainError):
    """What lies there is no event, so no queue can take it again."""

    kind = Kind.CONFLICT
    code = "admin.not_an_event"


class NoSuchQueue(DomainError):
    """Nobody consumes the queue that this event was for any more."""

    kind = Kind.CONFLICT
    code = "admin.no_such_queue"
