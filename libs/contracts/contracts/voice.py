"""What the voice service and a running voice session tell each other."""

from datetime import datetime
from typing import Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

Channel = Literal["voice", "websocket", "phone"]
Pipeline = Literal["realtime", "cascade", "offline"]
AgentState = Literal["initializing", "listening", "thinking", "speaking", "away"]
EndReason = Literal[
    "asked", "caller_left", "silence", "too_long", "drained", "failed", "conversation_deleted"
]

MOST = 2**53
"""The largest number of a turn or of a place in a conversation."""

MAX_SPOKEN = 8_000
"""Characters of one turn: some nine minutes of speech without a pause."""


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class VoiceSettings(_Model):
    """How the agent speaks; None leaves a value to the provider."""

    voice_id: str | None = Field(default=None, max_length=100)
    temperature: float | None = Field(default=None, ge=0, le=2)
    max_output_tokens: int | None = Field(default=None, ge=1, le=4096)


class Earlier(_Model):
    """A message of the conversation from before, or beside, the session."""

    message_id: UUID
    seq: int = Field(ge=1, description="place of the message in its conversation")
    role: Literal["user", "assistant"]
    channel: Literal["chat", "voice", "websocket", "phone"]
    content: str


class Plan(_Model):
    """All that a session needs to begin, or to go on in another process."""

    session_id: UUID
    conversation_id: UUID
    owner_id: UUID
    channel: Channel
    pipeline: Pipeline
    instructions: str | None = Field(default=None, max_length=20_000)
    voice_settings: VoiceSettings = VoiceSettings()
    locale: str = Field(default="en-GB", max_length=35)
    history: tuple[Earlier, ...] = ()
    summary: str | None = Field(default=None, description="of what lies before `history`")
    cursor: str = Field(default="", max_length=100, description="where to ask for changes from")
    greeted: bool = Field(default=False, description="the conversation was greeted before")
    limited: bool = Field(default=False, description="offline voice, since a cap was reached")
    next_seq: int = Field(default=1, ge=1, description="the number of the session's next turn")
    ends_at: datetime = Field(description="the longest duration is over then")


class Latency(_Model):
    """Milliseconds from the end of the caller's speech, as far as they are known."""

    end_of_turn_ms: float | None = None
    first_text_ms: float | None = None
    first_audio_ms: float | None = None


class SpokenTurn(_Model):
    """What was said by one side: for the agent what was played, not what was meant."""

    seq: int = Field(ge=1)
    open: bool = Field(default=False, description="it is not over: this is what was said so far")
    role: Literal["user", "assistant"]
    text: str = Field(min_length=1, max_length=MAX_SPOKEN)
    interrupted: bool = False
    started_at: datetime
    ended_at: datetime
    latency: Latency = Latency()
    citations: tuple[dict[str, object], ...] = Field(default=(), max_length=50)
    triage: dict[str, object] | None = None
    usage: tuple[dict[str, object], ...] = Field(default=(), max_length=50)


class Fallback(_Model):
    """A part that failed, so that the next one was asked; names and reasons are our own words."""

    part: str = Field(max_length=100)
    reason: str = Field(max_length=100)
    times: int = Field(ge=1)


class Heartbeat(_Model):
    """How a running session is; sent every few seconds and whenever it changes."""

    agent_state: AgentState
    job: str = Field(
        default="",
        max_length=100,
        description="who runs the session; while one is alive another is refused",
    )
    participants: int = Field(default=1, ge=0, le=1000)
    ended: EndReason | None = None
    fallbacks: tuple[Fallback, ...] = Field(
        default=(), max_length=50, description="since the last sign of life that was taken"
    )


class Changes(_Model):
    """What a running session should know since `cursor`; long-polled."""

    cursor: str = Field(default="", max_length=100, description="give it back to be told on")
    instructions: str | None = None
    voice_settings: VoiceSettings | None = None
    messages: tuple[Earlier, ...] = Field(default=(), description="chat messages, oldest first")
    end: EndReason | None = None


class OpenConversation(_Model):
    """A session wants to speak in a conversation, which is made unless it exists."""

    session_id: UUID
    channel: Channel
    guest: bool = Field(default=False, description="whoever speaks has no account")
    make: bool = Field(description="it may be new; else it must be there already")


class AskHistory(_Model):
    """`sessions` are those whose turns must be in the answer, if they were recorded by now."""

    sessions: tuple[UUID, ...] = Field(default=(), max_length=100)
    messages: int = Field(default=40, ge=0, le=200)
    after: int | None = Field(
        default=None, ge=0, le=MOST, description="only messages beyond this place"
    )
    except_session: UUID | None = Field(default=None, description="leaves out what it said itself")


class History(_Model):
    """The newest messages of a conversation, oldest first, or the first beyond a place."""

    messages: tuple[Earlier, ...]
    summary: str | None = None
    last_seq: int = Field(ge=0, description="place of the newest message, whatever it is")


class RecordedTurns(_Model):
    """Turns of a session that are over, beyond a number, in order and without a gap."""

    conversation_id: UUID
    owner_id: UUID
    channel: Channel
    turns: tuple[SpokenTurn, ...]
    more: bool = False
    ended: bool = Field(description="no turn will follow, but for late ones")
