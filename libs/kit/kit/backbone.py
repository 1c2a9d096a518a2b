"""What every service with tables stands on: the database, its signals and the bus, opened once."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

from contracts.events import SUBSCRIPTIONS
from kit import background, embedded, outbox
from kit.bus import Bus
from kit.bus.postgres import PostgresBus
from kit.database import Database, open_database
from kit.settings import Settings
from kit.signals import Signals, open_signals


@dataclass(frozen=True, slots=True)
class Backbone:
    """Open for as long as the service lives; its relay runs meanwhile."""

    db: Database
    signals: Signals
    bus: Bus


@asynccontextmanager
async def open_backbone(settings: Settings, *, service: str) -> AsyncIterator[Backbone]:
    """Opens the database that the settings name, or starts and migrates the embedded one."""
    async with AsyncExitStack() as stack:
        if settings.database_url is not None:
            url = settings.database_url.get_secret_value()
        else:
            url = (
                await stack.enter_async_context(embedded.open_embedded(settings.data_dir))
            ).service
        db = await stack.enter_async_context(open_database(url, application=f"medbot-{service}"))
        signals = await stack.enter_async_context(open_signals(url))
        bus = PostgresBus(db, signals, service=service, subscriptions=SUBSCRIPTIONS)

        async def relay() -> None:
            await outbox.relay_for_ever(db, bus, signals, service=service)

        await stack.enter_async_context(background.running(relay=relay))
        yield Backbone(db, signals, bus)
