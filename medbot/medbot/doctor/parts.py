"""Checks of what runs beside the services: RabbitMQ, Redis, and those who look after it all."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Iterator

import aio_pika
import httpx
import redis.asyncio
from aio_pika.exceptions import AMQPException
from redis.exceptions import RedisError

import api_gateway.settings
import kit.metrics
from kit.settings import Settings
from medbot.doctor.findings import Finding, bad, good, note

WITHIN = 5.0
"""Seconds that each has to answer."""

BUS, LIMITS, TRACES, METRICS = "events", "rate limits", "traces", "metrics"


async def examine(
    settings: api_gateway.settings.Settings, *, probe: bool
) -> AsyncIterator[Finding]:
    """What is configured is asked; the collector of traces with `probe` alone."""
    yield await bus(settings)
    yield await limits(settings)
    yield await traces(settings, probe=probe)
    for finding in metrics(settings):
        yield finding


async def bus(settings: Settings) -> Finding:
    """What carries the events."""
    url = settings.broker_url()
    if url is None:
        return _without_broker(settings)
    name = "RABBITMQ_URL" if settings.rabbitmq_url is not None else "RABBITMQ_HOST"
    try:
        async with asyncio.timeout(WITHIN), await aio_pika.connect(url) as connection:
            await connection.channel()
    except (AMQPException, OSError, TimeoutError, ValueError) as error:
        said = f"{name} cannot be used ({type(error).__name__}): events wait in the outbox"
        return bad(BUS, said, "check its address, login and virtual host")
    return good(BUS, f"{name} answers")


def _without_broker(settings: Settings) -> Finding:
    ignored = sorted(name for name in settings.model_fields_set if name.startswith("rabbitmq_"))
    if not ignored:
        return good(BUS, "through PostgreSQL")
    said = f"through PostgreSQL, though {ignored[0].upper()} is set"
    return note(BUS, said, "for a broker set RABBITMQ_HOST or RABBITMQ_URL too")


async def limits(settings: api_gateway.settings.Settings) -> Finding:
    """Where rates are counted."""
    if settings.redis_url is None:
        return good(LIMITS, "counted by each gateway alone")
    try:
        async with (
            asyncio.timeout(WITHIN),
            redis.asyncio.from_url(settings.redis_url.get_secret_value()) as client,
        ):
            await client.ping()
    except (RedisError, OSError, TimeoutError, ValueError) as error:
        said = f"REDIS_URL cannot be used ({type(error).__name__}): each gateway counts alone"
        return bad(LIMITS, said, "check its address and password")
    return good(LIMITS, "REDIS_URL answers")


async def traces(settings: Settings, *, probe: bool) -> Finding:
    """Where spans go."""
    collector = kit.metrics.collector(settings)
    if collector is None:
        return good(TRACES, "not recorded; OTEL_EXPORTER_OTLP_ENDPOINT is not set")
    share = f"{collector.ratio:.0%} of them to OTEL_EXPORTER_OTLP_ENDPOINT"
    if not probe:
        return good(TRACES, f"{share}, not asked")
    headers = {"content-type": "application/x-protobuf", **collector.pairs()}
    try:
        async with httpx.AsyncClient(
            timeout=WITHIN, trust_env=False, verify=_trusted(collector.authorities)
        ) as http:
            answer = await http.post(f"{collector.endpoint}/v1/traces", headers=headers)
    except OSError as error:
        said = f"OTEL_EXPORTER_OTLP_CERTIFICATE cannot be read ({type(error).__name__})"
        return bad(TRACES, f"{said}: spans are lost", "name a file with the CAs to trust, in PEM")
    except (UnicodeError, httpx.LocalProtocolError):
        said = "OTEL_EXPORTER_OTLP_HEADERS cannot be sent: spans are lost"
        return bad(TRACES, said, "set name=value pairs with commas, in plain ASCII")
    except httpx.HTTPError as error:
        said = f"the collector does not answer ({type(error).__name__}): spans are lost"
        return bad(TRACES, said, "check OTEL_EXPORTER_OTLP_ENDPOINT")
    if answer.status_code in {401, 403}:
        return bad(TRACES, "the collector refuses us", "check OTEL_EXPORTER_OTLP_HEADERS")
    if answer.status_code == httpx.codes.NOT_FOUND:
        said = "there is no /v1/traces below OTEL_EXPORTER_OTLP_ENDPOINT"
        return bad(TRACES, said, "it must be the base of OTLP over HTTP, often on port 4318")
    return good(TRACES, share)


def _trusted(authorities: str | None) -> ssl.SSLContext:
    if not authorities:
        return httpx.create_ssl_context(trust_env=False)
    return ssl.create_default_context(cafile=authorities)


def metrics(settings: Settings) -> Iterator[Finding]:
    """Who may read what is counted."""
    if settings.metrics_public:
        said = "METRICS_PUBLIC is on: everybody who reaches the gateway reads them"
        yield note(METRICS, said, "METRICS_TOKEN or METRICS_PORT keep them to yourself")
    elif settings.metrics_token is not None:
        yield good(METRICS, "at /metrics of each service, for whoever has METRICS_TOKEN")
    else:
        yield good(METRICS, "at /metrics of the services, from this machine; the gateway's, none")
    if settings.metrics_port is not None:
        said = f"also on port {settings.metrics_port} of `medbot serve`, unguarded"
        yield note(METRICS, said, "no public door may lead to it")
