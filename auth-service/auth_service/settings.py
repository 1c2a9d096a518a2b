"""What the auth service reads from the environment."""

from kit import settings


class Settings(settings.Settings):
    """Nothing beyond what every service reads, as long as identity is local."""
