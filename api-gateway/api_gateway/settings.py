"""What the gateway reads from the environment."""

from typing import Annotated

from pydantic import Field, SecretStr, field_validator

from kit import settings
from kit.server import MAX_HEAD
from serving.edge import MAX_BODY

Seconds = Annotated[float, Field(gt=0, le=3600, allow_inf_nan=False)]

Rate = Annotated[int, Field(ge=0, le=10_000_000)]

REPLY_MARGIN = 60.0
"""Seconds beyond the longest reply in which its message is stored, also while the database is away
for a while."""


class Settings(settings.Settings):
    """Where the services are, who may call from a browser, and the limits of the door.

    A service without an address is not configured: its routes answer 503. Times are in seconds,
    sizes in bytes, rates in requests a minute (0 is any number). `trusted_proxies` is how many
    proxies of one's own stand in front; only they are believed where a request comes from.

    Of each service at most `upstream_requests` are asked at once; who finds them all under way
    waits for `upstream_wait`. What lasts by its nature is counted apart, as `upstream_streams`
    (streams, files, replies that are waited for) and `upstream_sockets`.
    """

    voice_service_url: settings.ServiceUrl | None = "http://127.0.0.1:8003"
    clinic_service_url: settings.ServiceUrl | None = None
    cors_origins: settings.CommaList = ("http://localhost:3000", "http://localhost:5173")
    allow_guest_voice: bool = False

    redis_url: SecretStr | None = None
    trusted_proxies: int = Field(default=0, ge=0, le=10)
    rate_limit_person: Rate = 1200
    rate_limit_address: Rate = 600
    rate_limit_sign_in: Rate = 30
    rate_limit_webhook: Rate = 6000

    upstream_requests: int = Field(default=64, ge=1, le=100_000)
    upstream_streams: int = Field(default=2000, ge=1, le=100_000)
    upstream_sockets: int = Field(default=1000, ge=1, le=100_000)
    upstream_wait: float = Field(default=0.5, ge=0, le=30, allow_inf_nan=False)
    breaker_failures: int = Field(default=5, ge=1, le=1000)
    breaker_pause: float = Field(default=1.0, gt=0, le=60, allow_inf_nan=False)

    connect_timeout: Seconds = 2.0
    first_byte_timeout: Seconds = 60.0
    whole_timeout: Seconds = 120.0
    idle_timeout: Seconds = 60.0
    max_body: int = Field(default=MAX_BODY, gt=0, le=MAX_BODY)
    max_headers: int = Field(default=32 * 1024, gt=0, le=MAX_HEAD)
    max_socket_message: int = Field(default=256 * 1024, gt=0, le=16 * 1024 * 1024)

    _split = field_validator("cors_origins", mode="before")(settings.split_commas)

    @field_validator("redis_url")
    @classmethod
    def _redis(cls, value: SecretStr | None) -> SecretStr | None:
        if value and not value.get_secret_value().startswith("unix://"):
            parts = settings.server_address(value.get_secret_value(), "redis", "rediss")
            if parts.path.strip("/") and not parts.path.strip("/").isdecimal():
                raise ValueError("its path must be the number of a database")
        return value

    @property
    def reply_timeout(self) -> float:
        """Seconds for a reply that is waited for until it is whole."""
        return max(self.reply_seconds + REPLY_MARGIN, self.whole_timeout)

    @property
    def services(self) -> dict[str, str | None]:
        """The address of each service by its name; None where there is none."""
        return {
            "auth": self.auth_service_url,
            "conversation": self.conversation_service_url,
            "voice": self.voice_service_url,
            "clinic": self.clinic_service_url,
        }
