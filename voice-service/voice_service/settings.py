"""What the voice service reads from the environment."""

from pydantic import Field, model_validator

from contracts.voice import Pipeline
from kit.errors import Misconfigured
from privacy.retention import Class
from voice_service import retention
from voice_service.agent.settings import Speaking


class Settings(Speaking):
    """Without a media server the sockets serve; without a key offline voice speaks."""

    voice_pipeline: Pipeline | None = None
    allow_guest_voice: bool = False
    voice_guest_sessions: int = Field(default=20, ge=1, le=100_000)
    voice_reconnect_seconds: float = Field(default=15.0, ge=0, le=600)
    voice_prewarm: bool = True
    voice_sessions_per_person: int = Field(default=5, ge=1, le=1000)
    voice_max_seconds: float = Field(default=1800.0, ge=1, le=86_400)
    voice_join_seconds: float = Field(default=600.0, ge=1, le=86_400)
    voice_lost_seconds: float = Field(default=8.0, ge=0.5, le=300)
    voice_agent_seconds: float = Field(default=30.0, ge=0.5, le=600)

    retention_messages_days: float | None = Field(default=None, ge=1, le=36_500)

    def retained(self) -> list[Class]:
        """How long this service keeps what."""
        return retention.classes(messages_days=self.retention_messages_days)

    @model_validator(mode="after")
    def _livekit_whole(self) -> "Settings":
        whole = (self.livekit_api_key, self.livekit_api_secret)
        if self.livekit_url is not None and not all(whole):
            raise Misconfigured(
                "LIVEKIT_URL needs LIVEKIT_API_KEY and LIVEKIT_API_SECRET beside it"
            )
        return self
