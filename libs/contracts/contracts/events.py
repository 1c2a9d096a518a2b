"""Every event that crosses a service boundary, and who consumes it.

Events carry ids, never a patient's words: a consumer looks up what it needs. Fields may be
added; anything else needs a new version of the topic.
"""

from abc import abstractmethod
from datetime import datetime
from typing import ClassVar, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field


class Event(BaseModel):
    """A fact, frozen and in the past tense; `topic` is `medbot.<service>.<noun>.<verb>.v<n>`."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    topic: ClassVar[str]

    @property
    @abstractmethod
    def key(self) -> str:
        """Events with the same key are first delivered in the order in which they were emitted."""


class UserRegistered(Event):
    """Somebody has an account now."""

    topic: ClassVar[str] = "medbot.auth.user.registered.v1"

    user_id: UUID

    @property
    def key(self) -> str:
        return str(self.user_id)


class GuestJoined(Event):
    """A guest proved, with the guest's own token, to be this person: what the guest made is the
    person's from now on. It may be delivered again, and later than things the person did since."""

    topic: ClassVar[str] = "medbot.auth.guest.joined.v1"

    guest_id: UUID
    user_id: UUID

    @property
    def key(self) -> str:
        return str(self.user_id)


class UserErased(Event):
    """Somebody wants everything about them erased; who keeps rows of theirs does so and says so."""

    topic: ClassVar[str] = "medbot.auth.user.erased.v1"

    user_id: UUID
    erasure_id: UUID

    @property
    def key(self) -> str:
        return str(self.user_id)


class ConversationPersonErased(Event):
    """The conversation service keeps nothing of that person any more."""

    topic: ClassVar[str] = "medbot.conversation.person.erased.v1"

    erasure_id: UUID

    @property
    def key(self) -> str:
        return str(self.erasure_id)


class MessageCreated(Event):
    """A message of a conversation is complete: a person's at once, a reply when it has ended."""

    topic: ClassVar[str] = "medbot.conversation.message.created.v1"

    conversation_id: UUID
    message_id: UUID
    seq: int = Field(ge=1, description="place of the message in its conversation")

    @property
    def key(self) -> str:
        return str(self.conversation_id)


class VoiceSessionStarted(Event):
    """Somebody and the assistant are on the line."""

    topic: ClassVar[str] = "medbot.voice.session.started.v1"

    session_id: UUID
    conversation_id: UUID
    owner_id: UUID

    @property
    def key(self) -> str:
        return str(self.session_id)


class VoiceSessionEnded(Event):
    """A voice session is over; late turns of its last seconds may still be recorded."""

    topic: ClassVar[str] = "medbot.voice.session.ended.v1"

    session_id: UUID
    conversation_id: UUID
    owner_id: UUID

    @property
    def key(self) -> str:
        return str(self.session_id)


class VoiceTurnRecorded(Event):
    """One side of a voice session said something; `seq` is its place in the session."""

    topic: ClassVar[str] = "medbot.voice.turn.recorded.v1"

    session_id: UUID
    conversation_id: UUID
    seq: int = Field(ge=1)

    @property
    def key(self) -> str:
        return str(self.session_id)


class VoicePersonErased(Event):
    """The voice service keeps nothing of that person any more."""

    topic: ClassVar[str] = "medbot.voice.person.erased.v1"

    erasure_id: UUID

    @property
    def key(self) -> str:
        return str(self.erasure_id)


class ConversationDeleted(Event):
    """A conversation is gone; whoever keeps something of it drops that too."""

    topic: ClassVar[str] = "medbot.conversation.conversation.deleted.v1"

    conversation_id: UUID
    owner_id: UUID | None

    @property
    def key(self) -> str:
        return str(self.conversation_id)


class Envelope(BaseModel):
    """An event on its way: CloudEvents 1.0 in JSON, with the W3C trace context as extension."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    specversion: Literal["1.0"] = "1.0"
    id: UUID
    type: str = Field(max_length=200)
    source: str = Field(max_length=100)
    subject: str = Field(max_length=200)
    time: datetime
    datacontenttype: Literal["application/json"] = "application/json"
    traceparent: str | None = Field(default=None, max_length=100)
    data: dict[str, object]


HOLDERS: dict[str, type[Event]] = {
    "conversation": ConversationPersonErased,
    "voice": VoicePersonErased,
}
"""Service beside auth that keeps rows of people → what it says when it has erased somebody."""

SUBSCRIPTIONS: dict[str, tuple[type[Event], ...]] = {
    "auth": tuple(HOLDERS.values()),
    "conversation": (
        UserRegistered,
        UserErased,
        GuestJoined,
        VoiceTurnRecorded,
        VoiceSessionStarted,
        VoiceSessionEnded,
    ),
    "voice": (MessageCreated, ConversationDeleted, GuestJoined, UserErased),
}
"""Durable queue → the events that reach it. Both buses declare every queue before they publish,
so a consumer that starts last misses nothing."""
