"""Messages as they are read."""

from datetime import datetime
from typing import Literal, NewType
from uuid import UUID

from pydantic import BaseModel

from assistant.safety import Fired, Level, Resource
from assistant.turns import Citation

MessageId = NewType("MessageId", UUID)

Role = Literal["user", "assistant", "system"]
Channel = Literal["chat", "voice", "websocket", "phone"]
Status = Literal["complete", "streaming", "interrupted", "failed"]


class Triage(BaseModel):
    """The gate's verdict on a message; `rules` hold places in its text, never the words."""

    level: Level
    rules: list[Fired]
    message: str | None = None
    resources: list[Resource]


class Latency(BaseModel):
    """Milliseconds from the request: until the gate had spoken, the first text, the whole."""

    gate_ms: float
    first_text_ms: float | None = None
    total_ms: float


class SpokenLatency(BaseModel):
    """Milliseconds from the end of the caller's speech, as far as they were measured: until the
    turn counted as ended, the first text of the reply, its first sound."""

    end_of_turn_ms: float | None = None
    first_text_ms: float | None = None
    first_audio_ms: float | None = None


class Message(BaseModel):
    """A message; a running reply has what it has said so far.

    A reply that was made again `replaces` an older one, which it leaves in place as `replaced_by`.
    `limited` names the cap on a day's cost for which the library answered in place of a model.
    """

    id: UUID
    role: Role
    channel: Channel
    content: str
    citations: list[Citation]
    triage: Triage | None
    status: Status
    created_at: datetime
    latency: Latency | SpokenLatency | None
    replaces: UUID | None = None
    replaced_by: UUID | None = None
    limited: Literal["person", "address", "installation"] | None = None
