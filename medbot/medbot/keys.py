"""The keys that sign access tokens and receipts, for who runs the installation."""

from dataclasses import dataclass

from auth_service.providers import signing
from auth_service.settings import Settings
from kit.database import utc_now
from medbot import office


@dataclass(frozen=True, slots=True)
class Rotated:
    """The name of the key that signs from now on, and of the one that does so no more."""

    new: str
    old: str | None


async def rotate(settings: Settings) -> Rotated:
    """Makes a new key; running services follow by themselves, and nobody has to sign in anew."""
    async with office.reading(settings, "keys.rotate") as record:
        old, new = await signing.rotate(record.tx, now=utc_now())
        for name in filter(None, (old, new)):
            record.touched("key", name)
    return Rotated(new, old)
