"""The running summary, as it is seen and as it is kept."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from pydantic import BaseModel

from assistant import recall


class SummaryFact(BaseModel):
    """A sentence of the person that later answers are told of, and the message it stands in."""

    kind: recall.Kind
    text: str
    message_id: UUID


class Summary(BaseModel):
    """What answers are told of the earlier conversation; empty while there is nothing to sum up.

    `text` is what a model reads. `written_by` says who put it into words: a model, or nobody, and
    then it is the facts under their headings. `messages` counts those that it covers.
    """

    text: str
    facts: list[SummaryFact]
    written_by: str | None = None
    messages: int = 0
    updated_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Kept:
    """A summary as it is stored: of all messages up to the place `through`."""

    through: int = 0
    facts: Sequence[recall.Fact] = field(default=(), repr=False)
    prose: str | None = field(default=None, repr=False)
    written_by: str | None = None
    updated_at: datetime | None = None
