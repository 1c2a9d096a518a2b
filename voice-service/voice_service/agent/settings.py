"""What the spoken assistant reads from the environment."""

from typing import Literal

from pydantic import Field, SecretStr

from assistant.llm import environment
from kit import settings

SpeechProvider = Literal["openai", "offline"]


class Speaking(settings.Settings, environment.Models):
    """Without a key, offline voice hears, answers and speaks."""

    voice_service_url: settings.ServiceUrl = "http://127.0.0.1:8003"
    livekit_url: str | None = Field(default=None, pattern=r"^(wss?|https?)://")
    livekit_api_key: str | None = Field(default=None, max_length=200)
    livekit_api_secret: SecretStr | None = None
    speech_base_url: environment.BaseUrl | None = None
    library_dir: settings.RootedPath = Field(default_factory=lambda: settings.home() / "library")
    stt_provider: SpeechProvider | None = None
    tts_provider: SpeechProvider | None = None
    tts_voice: str = Field(default="marin", max_length=100)
    realtime_model: str = Field(default="gpt-realtime", max_length=100)
    transcription_model: str = Field(default="gpt-4o-mini-transcribe", max_length=100)
    speech_model: str = Field(default="gpt-4o-mini-tts", max_length=100)
    vad_min_speech_duration: float = Field(default=0.05, ge=0.01, le=2)
    vad_min_silence_duration: float = Field(default=0.3, ge=0.05, le=5)
    vad_padding_duration: float = Field(default=0.5, ge=0, le=2)
    voice_timeout: float = Field(default=30.0, ge=2, le=3600)
    voice_turn_detection: Literal["model", "vad"] = "model"
    voice_endpointing_min: float = Field(default=0.4, ge=0.05, le=10)
    voice_endpointing_max: float = Field(default=2.5, ge=0.05, le=20)
    voice_first_token_seconds: float = Field(default=1.5, gt=0, le=60)
    voice_agent_max_jobs: int = Field(default=8, ge=1, le=500)
    voice_agent_host: str = Field(default="127.0.0.1", max_length=253)
    voice_agent_port: int = Field(default=8081, ge=0, le=65_535)
    voice_drain_seconds: int = Field(default=600, ge=0, le=7200)
