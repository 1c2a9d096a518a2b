"""What the command line itself reads from the environment."""

from pydantic import Field

from kit import settings


class Settings(settings.Settings):
    """`port` is the gateway's; the services take the ports that follow it."""

    port: int = Field(default=8000, ge=1, le=65_000)
