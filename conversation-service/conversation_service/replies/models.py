"""A reply from its first moment to its end."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from assistant.safety import Level
from assistant.turns import Citation, Turn
from conversation_service.messages.models import Message
from conversation_service.usage.budget import Room
from kit.errors import DomainError, Kind
from kit.text import storable

Ending = Literal["complete", "interrupted", "failed"]


class SendMessage(BaseModel):
    """What a person writes."""

    model_config = ConfigDict(extra="forbid")

    content: Annotated[str, Field(min_length=1, max_length=8000), AfterValidator(storable)]


class Exchange(BaseModel):
    """A message with the whole reply to it."""

    user_message: Message
    assistant_message: Message


class Busy(DomainError):
    """A reply is running in this conversation; wait for its end or stop it."""

    kind = Kind.CONFLICT
    code = "conversation.busy"


class ReplyFailed(DomainError):
    """The reply could not be finished. Please ask again."""

    kind = Kind.UNAVAILABLE
    code = "conversation.reply_failed"


class StreamCut(DomainError):
    """The reply cannot be read on now; it can be resumed where it was cut."""

    kind = Kind.UNAVAILABLE
    code = "conversation.stream_cut"


class NotRegenerable(DomainError):
    """Only the reply to the newest message can be made again."""

    kind = Kind.CONFLICT
    code = "conversation.not_regenerable"


class BeyondEnd(DomainError):
    """The reply is finished and shorter than that."""

    kind = Kind.INVALID
    code = "conversation.beyond_end"


@dataclass(frozen=True, slots=True)
class Begun:
    """A reply that has its row and its lease, and nobody who writes it yet.

    `started` is a reading of the monotonic clock at the request, in seconds.
    """

    conversation_id: UUID
    message_id: UUID
    question: str = field(repr=False)
    history: Sequence[Turn] = field(repr=False)
    earlier: str = field(repr=False)
    level: Level
    started: float
    gate_ms: float
    room: Room


@dataclass(frozen=True, slots=True)
class Asked:
    """The question behind a message: its place and text, and whether no later one was asked.

    Without `is_reply` the message answers nothing, and the rest says nothing.
    """

    is_reply: bool
    running: bool
    newest: bool
    question_id: UUID
    seq: int
    content: str = field(repr=False)
    triage: dict[str, Any] | None


@dataclass(frozen=True, slots=True)
class Part:
    """What a reply says next; `start` counts the code points before it."""

    seq: int
    start: int
    text: str
    citations: list[dict[str, Any]]
    tools: list[dict[str, str]]


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A reply as it stands; `parts` are those that a reader has not seen, while it runs."""

    reply_to: UUID
    status: Literal["streaming", "complete", "interrupted", "failed"]
    triage: dict[str, Any] | None
    content: str
    citations: Sequence[Citation]
    parts: Sequence[Part]
