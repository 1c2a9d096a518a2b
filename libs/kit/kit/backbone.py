"""What every service with tables stands on: the database, its signals and the bus, opened once."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

import asyncpg

from contracts.events import SUBSCRIPTIONS
from kit import background, embedded, metrics, migrations, outbox
from kit.bus import Bus
from kit.bus.postgres import PostgresBus
from kit.bus.rabbitmq import open_rabbitmq
from kit.database import Database, open_database
from kit.errors import ServiceUnavailable
from kit.identity import Actor
from kit.settings import Settings
from kit.signals import Signals, open_signals

Ask = Callable[[], Awaitable[object]]
"""Raises when what it asks cannot be used now."""


@dataclass(frozen=True, slots=True)
class Backbone:
    """Open for as long as the service lives; its relay runs meanwhile."""

    db: Database
    signals: Signals
    bus: Bus

    def checks(self) -> dict[str, Ask]:
        """What a service asks before it calls itself ready."""
        return {"database": self.db.ping}

    def spare(self) -> dict[str, Ask]:
        """What it can do without for a while: events wait in the outbox for their bus."""
        return {"bus": self.bus.ping}


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
        await _check_prepared(db, service)
        signals = await stack.enter_async_context(open_signals(url))
        bus = await stack.enter_async_context(_open_bus(settings, db, signals, service))

        async def relay() -> None:
            await outbox.relay_for_ever(db, bus, signals, service=service)

        await stack.enter_async_context(background.running(relay=relay))
        metrics.look_at(db, bus, service=service)
        yield Backbone(db, signals, bus)


async def _check_prepared(db: Database, service: str) -> None:
    """Raises ServiceUnavailable while the database has not the newest schema."""
    try:
        async with db.transaction(Actor.of_service(service)) as tx:
            lacks = await migrations.missing(tx)
    except asyncpg.PostgresError as error:
        raise ServiceUnavailable("the database is not prepared: `medbot migrate`") from error
    if lacks:
        raise ServiceUnavailable(f"the database lacks {', '.join(lacks)}: `medbot migrate`")


@asynccontextmanager
async def _open_bus(
    settings: Settings, db: Database, signals: Signals, service: str
) -> AsyncIterator[Bus]:
    """RabbitMQ where the settings name one, else the database's own tables."""
    broker = settings.broker_url()
    if broker is None:
        yield PostgresBus(db, signals, service=service, subscriptions=SUBSCRIPTIONS)
        return
    async with open_rabbitmq(broker, db, service=service, subscriptions=SUBSCRIPTIONS) as bus:
        yield bus
