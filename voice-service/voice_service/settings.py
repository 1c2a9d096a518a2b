"""What the voice service reads from the environment."""

from pydantic import Field, model_validator

from assistant.llm.prices import Price, Prices
from contracts.voice import Pipeline
from kit.database import Clock
from kit.errors import Misconfigured
from privacy.retention import Class
from voice_service import retention
from voice_service.agent.settings import Speaking
from voice_service.usage.budget import Budget, Caps, Speech


class Settings(Speaking):
    """Without a media server the sockets serve; without a key offline voice speaks."""

    voice_pipeline: Pipeline | None = None
    allow_guest_voice: bool = False
    voice_guest_sessions: int = Field(default=20, ge=1, le=100_000)
    voice_reconnect_seconds: float = Field(default=15.0, ge=0, le=600)
    voice_prewarm: bool = True
    voice_sessions_per_person: int = Field(default=5, ge=1, le=1000)
    voice_max_seconds: float = Field(default=1800.0, ge=1, le=86_400)
    livekit_public_url: str | None = Field(default=None, pattern=r"^(wss?|https?)://")
    voice_join_seconds: float = Field(default=600.0, ge=1, le=86_400)
    voice_lost_seconds: float = Field(default=8.0, ge=0.5, le=300)
    voice_max_load: float = Field(default=0.9, ge=0.01, le=1)
    voice_agent_seconds: float = Field(default=30.0, ge=0.5, le=600)

    cost_cap_person_day_usd: float | None = Field(default=None, ge=0, le=1_000_000)
    cost_cap_guest_day_usd: float | None = Field(default=None, ge=0, le=1_000_000)
    cost_cap_address_day_usd: float | None = Field(default=None, ge=0, le=1_000_000)
    cost_cap_day_usd: float | None = Field(default=None, ge=0, le=1_000_000)
    cost_prompt_usd: float = Field(default=2.5, ge=0, le=10_000)
    cost_completion_usd: float = Field(default=10.0, ge=0, le=10_000)
    cost_speech_minute_usd: float = Field(default=0.1, ge=0, le=1000)
    retention_messages_days: float | None = Field(default=None, ge=1, le=36_500)

    def budget(self, clock: Clock) -> Budget:
        """What speech costs, and the caps on it."""
        other = Price(self.cost_prompt_usd, self.cost_completion_usd, self.cost_speech_minute_usd)
        caps = Caps(
            person=_micro(self.cost_cap_person_day_usd),
            guest=_micro(self.cost_cap_guest_day_usd),
            address=_micro(self.cost_cap_address_day_usd),
            installation=_micro(self.cost_cap_day_usd),
        )
        speech = Speech(
            realtime=self.realtime_model,
            hears=self.transcription_model if self.stt_provider != "offline" else None,
            speaks=self.speech_model if self.tts_provider != "offline" else None,
        )
        return Budget(Prices(other), speech, self.models(), caps, clock)

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


def _micro(usd: float | None) -> int | None:
    """Millionths of a US dollar."""
    return None if usd is None else round(usd * 1_000_000)
