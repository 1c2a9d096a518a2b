"""The names that the environment and `.env.local` may hold."""

import difflib
from pathlib import Path

from dotenv import dotenv_values

from kit import settings
from medbot.services import IN_ORDER
from medbot.settings import Settings

ELSEWHERE = frozenset((
    "DEEPGRAM_API_KEY", "CARTESIA_API_KEY", "GOOGLE_API_KEY", "BEY_API_KEY", "DJANGO_BASE_URL",
    "INGEST_TOKEN", "BACKEND_URL", "BUSINESS_ID", "STAFF_ID", "SAMPLE_RATE", "CHANNELS",
))  # fmt: skip
"""Names of a whole installation that nothing here reads."""


def read_here() -> frozenset[str]:
    """Every name that a service or the command line reads."""
    return frozenset(name.upper() for one in classes() for name in one.model_fields)


def classes() -> list[type[settings.Settings]]:
    """Everybody's settings."""
    return [Settings, *(service.reads for service in IN_ORDER)]


def files() -> list[Path]:
    """The `.env.local` files that there are: the root's and those of the services."""
    home = settings.home()
    folders = (home, *(home / service.folder for service in IN_ORDER))
    return [path for folder in folders if (path := folder / ".env.local").is_file()]


def names_in(path: Path) -> list[str]:
    """The names that a file sets, in its order."""
    return list(dotenv_values(path, interpolate=False))


def nearest(name: str) -> str | None:
    """The known name that `name` is probably meant to be."""
    known = sorted(read_here() | ELSEWHERE)
    return next(iter(difflib.get_close_matches(name.upper(), known, n=1, cutoff=0.8)), None)
