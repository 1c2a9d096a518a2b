"""What the doctor says of RabbitMQ, Redis, the collector of traces and the counts."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from certificates import certificate
from collector import collecting
from pydantic import SecretStr
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

import kit.metrics
from api_gateway.settings import Settings
from kit.testing import serve
from kit.testing.ports import free_port
from kit.testing.rabbitmq import Broker
from medbot.doctor import parts
from medbot.doctor.findings import Finding, Mark
from telemetry import Span, Telemetry


def told(**given: Any) -> Settings:
    return Settings(service_token_secret=SecretStr("s" * 32), **given)


def shown(finding: Finding) -> str:
    return f"{finding.mark} {finding.said} → {finding.remedy}"


async def test_nothing_configured_is_well() -> None:
    found = [finding async for finding in parts.examine(told(), probe=True)]
    assert [finding.mark for finding in found] == [Mark.GOOD] * 4
    assert "through PostgreSQL" in found[0].said


async def test_a_login_without_a_broker_is_noted() -> None:
    finding = await parts.bus(told(rabbitmq_user="me", rabbitmq_password=SecretStr("sesame")))
    assert finding.mark is Mark.NOTE
    assert "RABBITMQ_PASSWORD is set" in finding.said
    assert "RABBITMQ_HOST" in finding.remedy


async def test_a_broker_that_answers(broker: Broker) -> None:
    finding = await parts.bus(told(rabbitmq_url=broker.url))
    assert (finding.mark, finding.said) == (Mark.GOOD, "RABBITMQ_URL answers")


async def test_a_broker_that_is_away_and_its_password() -> None:
    url = f"amqp://somebody:open-sesame@127.0.0.1:{free_port()}/"
    finding = await parts.bus(told(rabbitmq_url=url))
    assert finding.mark is Mark.BAD
    assert "events wait in the outbox" in finding.said
    assert "sesame" not in shown(finding)


async def test_a_redis_that_is_away() -> None:
    finding = await parts.limits(told(redis_url=f"redis://:sesame@127.0.0.1:{free_port()}/0"))
    assert finding.mark is Mark.BAD
    assert "each gateway counts alone" in finding.said
    assert "sesame" not in shown(finding)


async def test_the_collector_is_asked_with_probe_alone() -> None:
    async with collecting() as collector:
        chosen = told(otel_exporter_otlp_endpoint=collector.url, otel_traces_sampler_arg=0.1)
        assert "10% of them" in (await parts.traces(chosen, probe=False)).said
        assert collector.raw == []
        assert (await parts.traces(chosen, probe=True)).mark is Mark.GOOD


@pytest.mark.parametrize(
    ("status", "said"),
    [(404, "there is no /v1/traces"), (401, "refuses us"), (None, "does not answer")],
)
async def test_a_collector_that_takes_no_spans(status: int | None, said: str) -> None:
    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            await Response(status_code=status or 500)(scope, receive, send)

    async with serve(answer) as served:
        address = served.url if status else f"http://127.0.0.1:{free_port()}"
        finding = await parts.traces(told(otel_exporter_otlp_endpoint=address), probe=True)
    assert finding.mark is Mark.BAD
    assert said in finding.said


@pytest.mark.parametrize(
    ("headers", "mark", "said"),
    [
        ("X-Scope=1, X-Api-Key=sesame", Mark.GOOD, "100% of them"),
        ("x-api-key=seashell", Mark.BAD, "refuses us"),
        ("x-api-key=sésame", Mark.BAD, "OTEL_EXPORTER_OTLP_HEADERS cannot be sent"),
        ("x api key=sesame", Mark.BAD, "OTEL_EXPORTER_OTLP_HEADERS cannot be sent"),
        (None, Mark.BAD, "refuses us"),
    ],
)
async def test_the_collector_gets_the_headers_that_it_wants(
    headers: str | None, mark: Mark, said: str
) -> None:
    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            known = dict(scope["headers"]).get(b"x-api-key") == b"sesame"
            await Response(status_code=200 if known else 401)(scope, receive, send)

    secret = SecretStr(headers) if headers else None
    async with serve(answer) as served:
        chosen = told(otel_exporter_otlp_endpoint=served.url, otel_exporter_otlp_headers=secret)
        finding = await parts.traces(chosen, probe=True)
    assert finding.mark is mark
    assert said in finding.said
    assert "sesame" not in shown(finding)


@asynccontextmanager
async def secured(context: ssl.SSLContext) -> AsyncIterator[tuple[str, list[bytes]]]:
    """A collector behind TLS, and the bodies that it took."""
    taken = []

    async def take(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).lower()
        length = head.partition(b"content-length: ")[2].partition(b"\r\n")[0]
        taken.append(await reader.readexactly(int(length)))
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
        writer.close()

    server = await asyncio.start_server(take, "127.0.0.1", ssl=context)
    async with server:
        yield f"https://localhost:{server.sockets[0].getsockname()[1]}", taken


@pytest.mark.parametrize(
    "name", ["OTEL_EXPORTER_OTLP_CERTIFICATE", "OTEL_EXPORTER_OTLP_TRACES_CERTIFICATE"]
)
async def test_a_collector_is_trusted_where_spans_reach_it(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, context = certificate(tmp_path)
    async with secured(context) as (address, taken):
        chosen = told(otel_exporter_otlp_endpoint=address)
        for trusted in (False, True):
            if trusted:
                monkeypatch.setenv(name, str(path))
            finding = await parts.traces(chosen, probe=True)
            assert finding.mark is (Mark.GOOD if trusted else Mark.BAD), finding.said
            taken.clear()
            async with Telemetry("house").exporting(kit.metrics.collector(chosen)):
                with Span("work"):
                    pass
            assert bool(taken) is trusted


async def test_a_file_of_certificates_that_cannot_be_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_CERTIFICATE", str(tmp_path / "none.pem"))
    address = f"https://localhost:{free_port()}"
    finding = await parts.traces(told(otel_exporter_otlp_endpoint=address), probe=True)
    assert finding.mark is Mark.BAD
    assert "OTEL_EXPORTER_OTLP_CERTIFICATE cannot be read (FileNotFoundError)" in finding.said


@pytest.mark.parametrize(
    ("given", "mark", "said"),
    [
        ({}, Mark.GOOD, "from this machine"),
        ({"metrics_token": "t" * 16}, Mark.GOOD, "whoever has METRICS_TOKEN"),
        ({"metrics_public": True}, Mark.NOTE, "everybody who reaches the gateway"),
        ({"metrics_port": 9464}, Mark.NOTE, "on port 9464"),
    ],
)
def test_who_may_read_the_counts(given: dict[str, Any], mark: Mark, said: str) -> None:
    last = list(parts.metrics(told(**given)))[-1]
    assert last.mark is mark
    assert said in last.said
