"""The messages of both voice sockets; their JSON Schemas are made from these models."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from contracts.voice import AgentState

MAX_MESSAGE = 262_144
"""Bytes of one message."""
MAX_TEXT = 8_000

VOICE_RATE = 16_000
SESSION_RATE = 24_000

Seconds = Annotated[float, Field(description="seconds since 1970")]
SessionStatus = Literal["created", "connecting", "active", "ended", "failed"]


class _Message(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


# /ws/voice


class CallerAudio(_Message):
    """Speech of the caller."""

    event: Literal["audio"]
    audio: str = Field(description="PCM s16le 16 kHz mono, in base64")
    latency_ms: float | None = Field(default=None, description="what the client measured")


class Ready(_Message):
    """The call is open; a greeting follows."""

    event: Literal["ready"] = "ready"
    conversation_id: str


class UserTranscript(_Message):
    """What the caller said in one turn."""

    event: Literal["user_transcript"] = "user_transcript"
    text: str
    timestamp: Seconds


class AssistantTranscript(_Message):
    """One sentence of the reply."""

    event: Literal["assistant_transcript"] = "assistant_transcript"
    text: str
    timestamp: Seconds


class ReplyAudio(_Message):
    """A piece of a reply; the pieces of one reply joined are one MP3."""

    event: Literal["audio"] = "audio"
    audio: str = Field(description="MP3, 24 kHz mono, in base64")
    chunk_num: int = Field(ge=0, description="from 0 in each reply")
    timestamp: Seconds


class AudioComplete(_Message):
    """The reply was given whole."""

    event: Literal["audio_complete"] = "audio_complete"
    timestamp: Seconds


class Interrupted(_Message):
    """The reply was cut: nothing more of it comes, and no `audio_complete`."""

    event: Literal["interrupted"] = "interrupted"
    timestamp: Seconds


class Failed(_Message):
    """Something was wrong; the socket stays open unless it closes with a code."""

    event: Literal["error"] = "error"
    message: str


VoiceServer = Annotated[
    Ready
    | UserTranscript
    | AssistantTranscript
    | ReplyAudio
    | AudioComplete
    | Interrupted
    | Failed,
    Field(discriminator="event"),
]

# /api/v1/voice/session/{session_id}/ws


class Control(_Message):
    """Begins the session, or ends it for good."""

    type: Literal["control"]
    action: Literal["start", "stop"]


class TypedText(_Message):
    """A message that is typed instead of spoken; it is answered aloud."""

    type: Literal["text"]
    text: str = Field(min_length=1, max_length=MAX_TEXT)


class SpeechIn(_Message):
    """Speech of the caller."""

    type: Literal["audio"]
    data: str = Field(description="PCM s16le 24 kHz mono, in base64")


class Status(_Message):
    """How the session is; sent whenever it changes."""

    type: Literal["status"] = "status"
    status: SessionStatus
    agent_state: AgentState


class Transcript(_Message):
    """All that one side has said of its turn so far; when final, what was heard of it."""

    type: Literal["transcript"] = "transcript"
    role: Literal["user", "assistant"]
    text: str
    final: bool


class SpeechOut(_Message):
    """Speech of the assistant, at most 200 ms ahead of its playing."""

    type: Literal["audio"] = "audio"
    data: str = Field(description="PCM s16le 24 kHz mono, in base64")


class Error(_Message):
    """Something was wrong; the socket stays open unless it closes with a code."""

    type: Literal["error"] = "error"
    code: str
    message: str


class Pause(_Message):
    """The player stops and keeps what it has."""

    type: Literal["pause"] = "pause"


class Resume(_Message):
    """The player goes on."""

    type: Literal["resume"] = "resume"


class Clear(_Message):
    """The player drops what it has; a paused one may play again."""

    type: Literal["clear"] = "clear"


FromSession = Control | TypedText | SpeechIn
SessionClient = Annotated[FromSession, Field(discriminator="type")]
SessionServer = Annotated[
    Status | Transcript | SpeechOut | Error | Pause | Resume | Clear, Field(discriminator="type")
]

VOICE_CLIENT: TypeAdapter[CallerAudio] = TypeAdapter(CallerAudio)
VOICE_SERVER: TypeAdapter[VoiceServer] = TypeAdapter(VoiceServer)
SESSION_CLIENT: TypeAdapter[FromSession] = TypeAdapter(SessionClient)
SESSION_SERVER: TypeAdapter[SessionServer] = TypeAdapter(SessionServer)

SCHEMAS: dict[str, TypeAdapter[Any]] = {
    "voice-client": VOICE_CLIENT,
    "voice-server": VOICE_SERVER,
    "session-client": SESSION_CLIENT,
    "session-server": SESSION_SERVER,
}
"""By the names of their files in `docs/schemas/`."""
