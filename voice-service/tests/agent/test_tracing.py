"""A session in another process goes on with the trace of whoever asked for it."""

import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from uuid import uuid4

import pytest
from collector import Collector as Receiver
from collector import collecting
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from contracts.voice import SpokenTurn
from kit.testing import SERVICE_SECRET, serve
from telemetry import Collector, Span, Telemetry
from voice_service.agent.link_http import HttpLink, open_http
from voice_service.rooms import media

OFFERED = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
NOW = datetime(2026, 11, 21, 9, 0, tzinfo=UTC)
TURN = SpokenTurn(seq=1, role="user", text="I have quixomyelitis.", started_at=NOW, ended_at=NOW)
NAME = "PUT /internal/sessions/{session_id}/turns/{seq}"


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with collecting() as made:
        yield made


async def record(telemetry: Telemetry, address: str | None) -> str:
    """The traceparent with which a turn is handed to the voice service."""
    heard: list[str] = []

    async def take(request: Request) -> Response:
        heard.append(request.headers["traceparent"])
        return Response(status_code=204)

    path = "/internal/sessions/{session}/turns/{seq}"
    service = Starlette(routes=[Route(path, take, methods=["PUT"])])
    async with serve(service) as served, open_http(served.url) as http:
        link = HttpLink(http, uuid4(), secret=SERVICE_SECRET, job="job", now=lambda: NOW)
        async with telemetry.exporting(Collector(address) if address else None):
            with Span("voice session", parent=OFFERED, root=True):
                await link.record(TURN)
    return heard[0]


async def test_its_calls_are_spans_of_that_trace(receiver: Receiver) -> None:
    carried = await record(Telemetry("agent"), receiver.url)
    (call,), (session,) = receiver.named(NAME), receiver.named("voice session")
    assert receiver.above(call) == [session]
    assert session.parent_id == OFFERED[36:52]
    assert carried == f"00-{OFFERED[3:35]}-{call.span_id}-01"
    assert b"quixomyelitis" not in b"".join(receiver.raw)


async def test_the_trace_goes_on_where_nobody_records() -> None:
    assert (await record(Telemetry("agent"), None))[3:35] == OFFERED[3:35]


def test_an_agent_is_sent_with_the_trace() -> None:
    session = uuid4()
    with Span("POST /session", parent=OFFERED, root=True):
        told = json.loads(media.metadata(session))
    assert told["session_id"] == str(session)
    assert told["traceparent"][3:35] == OFFERED[3:35]
    assert set(json.loads(media.metadata(session))) == {"session_id"}
