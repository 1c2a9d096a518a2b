"""What the conversation service reads from the environment."""

from pydantic import Field

from assistant.llm import environment
from assistant.llm.prices import Price, Prices
from conversation_service import retention
from conversation_service.usage.budget import Budget
from kit import settings
from kit.database import Clock
from privacy.retention import Class


class Settings(settings.Settings, environment.Models):
    """Without a key or an address of a model, library mode answers."""

    voice_service_url: settings.ServiceUrl = "http://127.0.0.1:8003"
    llm_first_token_seconds: float = Field(default=4.0, gt=0, le=60)
    reply_lease_seconds: float = Field(default=15.0, ge=0.5, le=300)
    guest_conversations_days: float = Field(default=7.0, gt=0, le=3650)
    cost_cap_person_day_usd: float | None = Field(default=None, ge=0, le=1_000_000)
    cost_cap_guest_day_usd: float | None = Field(default=None, ge=0, le=1_000_000)
    cost_cap_address_day_usd: float | None = Field(default=None, ge=0, le=1_000_000)
    cost_cap_day_usd: float | None = Field(default=None, ge=0, le=1_000_000)
    cost_prompt_usd: float = Field(default=2.5, ge=0, le=10_000)
    cost_completion_usd: float = Field(default=10.0, ge=0, le=10_000)
    retention_messages_days: float | None = Field(default=None, ge=1, le=36_500)
    retention_feed_days: float = Field(default=7.0, ge=1, le=365)
    retention_usage_days: float | None = Field(default=None, ge=1, le=36_500)
    library_dir: settings.RootedPath = Field(default_factory=lambda: settings.home() / "library")

    def retained(self) -> list[Class]:
        """How long this service keeps what."""
        return retention.classes(
            messages_days=self.retention_messages_days,
            feed_days=self.retention_feed_days,
            usage_days=self.retention_usage_days,
        )

    def budget(self, clock: Clock) -> Budget:
        """The caps on what those models cost."""
        return Budget(
            self.models(),
            Prices(Price(self.cost_prompt_usd, self.cost_completion_usd)),
            clock,
            person_cap=_micro(self.cost_cap_person_day_usd),
            day_cap=_micro(self.cost_cap_day_usd),
            guest_cap=_micro(self.cost_cap_guest_day_usd),
            address_cap=_micro(self.cost_cap_address_day_usd),
        )


def _micro(usd: float | None) -> int | None:
    """Millionths of a US dollar."""
    return None if usd is None else round(usd * 1_000_000)
