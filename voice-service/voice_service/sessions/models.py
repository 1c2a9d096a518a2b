"""Voice sessions as they come and go over HTTP, and what can be wrong with them."""

import json
import math
from datetime import datetime
from typing import Annotated, Any, Literal, Self
from uuid import UUID

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    model_validator,
)

from contracts.voice import AgentState, Channel, EndReason, Pipeline
from kit.errors import DomainError, Kind
from kit.text import Storable, storable

Status = Literal["created", "connecting", "active", "ended", "failed"]

Limited = Literal["person", "address", "installation"]

HERE = "en-GB"
"""The locale of whoever names none."""

METADATA_CHARACTERS = 4096
METADATA_DEPTH = 20
MOST_UNKNOWN = 50

Instructions = Annotated[Storable, StringConstraints(strip_whitespace=True, max_length=20_000)]


class Unavailable(DomainError):
    """This pipeline or avatar is not configured here."""

    kind = Kind.INVALID
    code = "voice.unavailable"


class TooManySessions(DomainError):
    """You have as many voice sessions as one person may; end one first."""

    kind = Kind.TOO_MANY
    code = "voice.too_many_sessions"
    retry_after = 30


class AllBusy(DomainError):
    """No more calls can be carried now; call again in a minute."""

    kind = Kind.UNAVAILABLE
    code = "voice.busy"


class CapReached(DomainError):
    """Today's limit for speech is reached, and this installation has no offline voice."""

    kind = Kind.TOO_MANY
    code = "voice.cap_reached"
    retry_after = 3600


class SessionOver(DomainError):
    """This voice session has ended."""

    kind = Kind.CONFLICT
    code = "voice.session_over"


class SessionTaken(DomainError):
    """Another job runs this voice session."""

    kind = Kind.CONFLICT
    code = "voice.session_taken"


def _small(metadata: dict[str, Any]) -> dict[str, Any]:
    """As it is, if it can be kept and given back.

    Raises:
        ValueError
    """
    _keepable(metadata, METADATA_DEPTH)
    if len(json.dumps(metadata, ensure_ascii=False)) > METADATA_CHARACTERS:
        raise ValueError(f"must not be longer than {METADATA_CHARACTERS} characters")
    return metadata


def _keepable(value: object, deep: int) -> None:
    if isinstance(value, str):
        storable(value)
    elif isinstance(value, float) and not math.isfinite(value):
        raise ValueError("must not contain a number that is not finite")
    elif isinstance(value, dict | list):
        if not deep:
            raise ValueError(f"must not be more than {METADATA_DEPTH} lists and objects deep")
        inside = [*value, *value.values()] if isinstance(value, dict) else value
        for each in inside:
            _keepable(each, deep - 1)


class WantedVoice(BaseModel):
    """How the agent should speak. What is not done of it is named in `ignored`."""

    model_config = ConfigDict(extra="allow")

    voice_id: Annotated[Storable, StringConstraints(min_length=1, max_length=100)] | None = None
    temperature: float | None = Field(default=None, ge=0, le=2, allow_inf_nan=False)
    max_output_tokens: int | None = Field(default=None, ge=1, le=4096)

    @model_validator(mode="after")
    def _nameable(self) -> Self:
        names = self.model_extra or {}
        if len(names) > MOST_UNKNOWN:
            raise ValueError(f"must not have more than {MOST_UNKNOWN} unknown names")
        for name in names:
            storable(name)
        return self


class CreateSession(BaseModel):
    """A new session, in a conversation of one's own or in a new one."""

    model_config = ConfigDict(extra="forbid")

    conversation_id: UUID | None = None
    instructions: Instructions | None = None
    voice_settings: WantedVoice = WantedVoice()
    metadata: Annotated[dict[str, Any], AfterValidator(_small)] = Field(
        default_factory=dict, max_length=50
    )
    pipeline: Pipeline | None = None
    avatar: bool = False


class ChangeConfig(BaseModel):
    """What is given is changed, and reaches a running agent."""

    model_config = ConfigDict(extra="forbid")

    instructions: Instructions | None = None
    voice_settings: WantedVoice | None = None


class Session(BaseModel):
    """A voice session."""

    session_id: UUID
    conversation_id: UUID
    status: Status
    channel: Channel
    pipeline: Pipeline
    room_name: str | None
    livekit_url: str | None
    websocket_url: str
    instructions: str | None
    voice_settings: dict[str, Any]
    ignored: list[str]
    metadata: dict[str, Any]
    limited: Limited | None = Field(
        default=None, description="the cap on cost for which it began with offline voice"
    )
    created_at: datetime
    started_at: datetime | None
    ended_at: datetime | None
    end_reason: EndReason | None


class CreatedSession(Session):
    """A session with what a client joins it by; without a media server `token` is null."""

    token: str | None
    expires_at: datetime


class TurnLatency(BaseModel):
    """From the end of the caller's speech to the first sound of the reply, over the turns."""

    p50_ms: float | None
    p95_ms: float | None


class SessionStatus(BaseModel):
    """How a session is now."""

    status: Status
    agent_state: AgentState | None
    participants: int
    duration_s: float
    turns: int
    latency: TurnLatency


class RoomToken(BaseModel):
    """What a client joins a room by."""

    token: str
    url: str


class Row(BaseModel):
    """A session as it is stored."""

    id: UUID
    conversation_id: UUID
    owner_id: UUID
    user_id: UUID | None
    channel: Channel
    pipeline: Pipeline
    status: Status
    end_reason: EndReason | None
    room_name: str | None
    instructions: str | None
    voice_settings: dict[str, Any]
    ignored: list[str]
    metadata: dict[str, Any]
    limited: Limited | None = None
    locale: str
    config_version: int
    last_seq: int
    message_version: int
    agent_state: AgentState | None
    participants: int
    holder: str | None
    created_at: datetime
    expires_at: datetime
    joined_at: datetime | None
    started_at: datetime | None
    ends_at: datetime | None
    ended_at: datetime | None

    @property
    def over(self) -> bool:
        """Whether it has ended, in whatever way."""
        return self.ended_at is not None
