"""A conversation for a clinician: situation, background, assessment, recommendation (SBAR)."""

from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from pydantic import BaseModel, Field

from assistant.safety import Level


class Statement(BaseModel):
    """One sentence; `message_ids` are the messages that support it, newest first."""

    text: str
    message_ids: list[UUID] = Field(min_length=1)


class Handoff(BaseModel):
    """What a clinician needs, made of the person's own words and of the gate's verdicts alone.

    `level` is the most pressing verdict on any message; null while nothing was asked.
    """

    conversation_id: UUID
    made_at: datetime
    level: Level | None
    situation: list[Statement]
    background: list[Statement]
    assessment: list[Statement]
    recommendation: list[Statement]


@dataclass(frozen=True, slots=True)
class Alarm:
    """A message that the gate called pressing, with the rules that fired and what was said."""

    message_id: UUID
    level: Level
    rules: list[str]
    told: str | None = field(repr=False)
    at: datetime


@dataclass(frozen=True, slots=True)
class Verdicts:
    """What the gate said of a conversation: the newest messages of each level, and the alarms."""

    by_level: dict[Level, list[UUID]]
    alarms: list[Alarm]
