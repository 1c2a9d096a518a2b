"""Where the operator works with other people's rows: each command leaves a row in the audit log."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from uuid import UUID

from auth_service import emails
from auth_service.administration import store
from auth_service.providers import choosing, local
from auth_service.providers.directory import Directory
from auth_service.settings import Settings
from kit.backbone import open_backbone
from kit.bus import Bus
from kit.database import utc_now
from kit.errors import NotFound
from medbot.terminal import Failed
from privacy import audit
from privacy.audit import Desk, Record


@dataclass(frozen=True, slots=True)
class Office:
    """Open for as long as the command runs; the operator's desk has no actor."""

    desk: Desk
    bus: Bus
    directory: Directory


@asynccontextmanager
async def open_office(settings: Settings) -> AsyncIterator[Office]:
    """Opens the database that the services use, or starts the embedded one."""
    async with (
        open_backbone(settings, service=local.SERVICE) as backbone,
        choosing.open_directory(settings, backbone.db, utc_now) as directory,
    ):
        seal = audit.seal_of(settings.service_secret())
        yield Office(Desk(backbone.db, local.ACTOR, None, seal, utc_now), backbone.bus, directory)


@asynccontextmanager
async def reading(settings: Settings, action: str) -> AsyncIterator[Record]:
    """One transaction at the operator's desk."""
    async with open_office(settings) as office, office.desk.transaction(action) as record:
        yield record


async def find(desk: Desk, who: str) -> UUID:
    """Somebody's id, by the id itself or by e-mail address.

    Raises:
        Failed: it is neither.
        NotFound: nobody has this e-mail address.
    """
    with suppress(ValueError):
        return UUID(who)
    try:
        address = emails.normalise(who)
    except ValueError as error:
        raise Failed(f"email: {error}") from None
    async with desk.transaction("people.find") as record:
        found = await store.by_email(record, address)
        if found is None:
            raise NotFound(f"nobody has the e-mail address {address}")
        return found
