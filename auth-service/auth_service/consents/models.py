"""Consents: what somebody was asked, in which wording, and what they answered."""

from datetime import datetime
from typing import ClassVar

from pydantic import BaseModel, ConfigDict

from kit.errors import DomainError, Kind


class Wording(BaseModel):
    """The words of one version of a question; `version` is the day from which it is asked."""

    model_config = ConfigDict(frozen=True)

    name: str
    version: str
    locale: str
    text: str


class Decision(BaseModel):
    """One answer; `given` is null where an answer was taken back and none put in its place."""

    model_config = ConfigDict(frozen=True)

    name: str
    given: bool | None
    wording: str
    locale: str
    decided_at: datetime


class Consents(BaseModel):
    """What is asked today, and every decision of the caller, the latest first."""

    wordings: list[Wording]
    history: list[Decision]


class UnknownConsent(DomainError):
    """Nobody is asked for a consent of this name."""

    kind: ClassVar[Kind] = Kind.INVALID
    code: ClassVar[str] = "profile.unknown_consent"
