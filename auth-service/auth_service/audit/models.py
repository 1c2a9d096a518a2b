"""The audit log as the API shows it."""

from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated, Literal
from uuid import UUID

from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field

from kit.errors import DomainError, Kind


def _in_utc(moment: datetime) -> datetime:
    try:
        return moment.astimezone(UTC)
    except OverflowError:
        raise ValueError("outside the years 1 to 9999 in UTC") from None


Moment = Annotated[AwareDatetime, AfterValidator(_in_utc)]
Action = Annotated[str, Field(max_length=60, pattern=r"^[a-z_]+(\.[a-z_]+)*$")]


class Entry(BaseModel):
    """A row of the log. People whose account was erased have no id any more."""

    model_config = ConfigDict(frozen=True)

    seq: int
    at: datetime
    service: str
    actor_kind: Literal["person", "operator", "service"]
    actor_id: UUID | None
    actor_roles: list[str]
    action: str
    outcome: str = Field(description="`done`, or the code of the refusal")
    people: list[UUID | None]
    resources: list[str]
    request_id: str


class Fault(StrEnum):
    """What can be wrong with the chain, at the first place where it is."""

    CHANGED = "changed"
    REMOVED = "removed"
    REORDERED = "reordered"
    UNSIGNED = "unsigned"
    ANCHOR = "anchor"


class Verdict(BaseModel):
    """`rows` were looked at, `first` to `head` are there; `fault` is at the row `seq`."""

    model_config = ConfigDict(frozen=True)

    whole: bool
    rows: int
    first: int | None
    head: int
    head_hash: str
    fault: Fault | None = None
    seq: int | None = None
    anchor: Literal["holds", "differs", "too_old"] | None = Field(
        default=None,
        description="what a noted place says; `too_old`: retention has removed that row, so it"
        " proves nothing of the rows that are there",
    )
    said: str


@dataclass(frozen=True, slots=True)
class Filter:
    """Which rows are wanted; None takes all."""

    person: UUID | None = None
    actor: UUID | None = None
    action: str | None = None
    since: datetime | None = None
    until: datetime | None = None


class HalfAnchor(DomainError):
    """A noted place is a number and a hash: send both."""

    kind = Kind.INVALID
    code = "audit.half_anchor"
