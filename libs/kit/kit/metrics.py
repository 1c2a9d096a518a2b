"""What a service tells of itself, by the settings: to whom, to where, and what beyond requests."""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import telemetry
from kit.bus import Bus
from kit.database import Database
from kit.errors import Misconfigured
from kit.identity import Actor
from kit.settings import Settings
from telemetry import Collector, Readers, Telemetry, catalogue


def collector(settings: Settings) -> Collector | None:
    """Where spans go; None: nowhere."""
    if settings.otel_exporter_otlp_endpoint is None:
        return None
    headers = settings.otel_exporter_otlp_headers
    return Collector(
        settings.otel_exporter_otlp_endpoint,
        headers.get_secret_value() if headers is not None else "",
        settings.otel_traces_sampler_arg,
        os.environ.get("OTEL_EXPORTER_OTLP_TRACES_CERTIFICATE")
        or os.environ.get("OTEL_EXPORTER_OTLP_CERTIFICATE"),
    )


@asynccontextmanager
async def telling(service: Telemetry, settings: Settings) -> AsyncIterator[None]:
    """Hands over spans, and listens on METRICS_PORT, for as long as the block lasts.

    Raises:
        Misconfigured: that port is taken.
    """
    listening = telemetry.listening(service, settings.metrics_port)
    try:
        await listening.__aenter__()
    except OSError as error:
        raise Misconfigured(f"METRICS_PORT: cannot listen there ({error.strerror})") from error
    try:
        async with service.exporting(collector(settings)):
            yield
    finally:
        await listening.__aexit__(None, None, None)


def readers(settings: Settings, *, loopback: bool) -> Readers:
    """Who may read the counts; `loopback`: no proxy passes requests on from this machine."""
    token = settings.metrics_token
    return Readers(
        token.get_secret_value() if token is not None else None,
        public=settings.metrics_public,
        loopback=loopback,
    )


def look_at(db: Database, bus: Bus, *, service: str) -> None:
    """Has the pool, the outbox and the queues shown."""
    actor = Actor.of_service(service)

    async def pool() -> None:
        idle = db.pool.get_idle_size()
        catalogue.CONNECTIONS.set(idle, "idle")
        catalogue.CONNECTIONS.set(db.pool.get_size() - idle, "used")
        catalogue.CONNECTIONS_MOST.set(db.pool.get_max_size())

    async def outbox() -> None:
        async with db.transaction(actor) as tx:
            row = await tx.fetchrow(
                "select count(*) as waiting, coalesce(extract(epoch from clock_timestamp()"
                " - min((envelope ->> 'time')::timestamptz)), 0)::float as lag"
                " from (select envelope from medbot.outbox order by id limit 100000) o"
            )
            dead = await tx.fetch(
                "select queue, count(*) as n from medbot.dead_letters group by queue"
            )
        assert row is not None
        catalogue.OUTBOX_WAITING.set(row["waiting"])
        catalogue.OUTBOX_LAG.set(max(0.0, row["lag"]))
        catalogue.DEAD_LETTERS.forget()
        for letters in dead:
            catalogue.DEAD_LETTERS.set(letters["n"], letters["queue"])

    async def queues() -> None:
        for queue, waiting in (await bus.waiting()).items():
            catalogue.QUEUE_WAITING.set(waiting, queue)

    for name, look in (("pool", pool), ("outbox", outbox), ("queues", queues)):
        telemetry.look(name, look)
