"""A session in another process goes on with the trace of whoever asked for it."""

import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from uuid import uuid4

import pytest
from collector import Collector as Receiver
from collector import collecting
from providers import Cloud, Open
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from talking import conversation, plan

from contracts.voice import Pipeline, SpokenTurn
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


@pytest.mark.parametrize(
    ("pipeline", "names"),
    [
        ("cascade", {"transcription openai-ear", "chat gpt-4.1-mini", "speech openai-voice"}),
        ("realtime", {"transcription openai-realtime-ear", "chat openai-realtime"}),
    ],
)
async def test_what_hears_answers_and_speaks_has_spans_in_that_trace(
    opened: Open, cloud: Cloud, receiver: Receiver, pipeline: Pipeline, names: set[str]
) -> None:
    cloud.speech.hears = cloud.realtime.hears = ["I have quixomyelitis"]
    resources = await opened()
    async with Telemetry("agent").exporting(Collector(receiver.url)):
        with Span("voice session", parent=OFFERED, root=True):
            async with conversation(resources, plan(pipeline)) as talk:
                await talk.say("I have quixomyelitis")
                await talk.turns(2)
    asked = [span for span in receiver.spans if "gen_ai.operation.name" in span.attributes]
    assert {span.name for span in asked} == names
    assert {span.trace_id for span in asked} == {OFFERED[3:35]}
    assert not any(span.failed for span in asked)
    assert b"quixomyelitis" not in b"".join(receiver.raw)


async def test_a_part_that_fails_is_a_failed_span_beside_the_one_that_speaks(
    opened: Open, cloud: Cloud, receiver: Receiver
) -> None:
    cloud.speech.speaking = "refuses"
    resources = await opened()
    async with Telemetry("agent").exporting(Collector(receiver.url)):
        with Span("voice session", parent=OFFERED, root=True):
            async with conversation(resources, plan("cascade", greeted=False)) as talk:
                await talk.turns(1)
    first, second = [span for span in receiver.spans if span.name.startswith("speech ")][:2]
    assert (first.name, first.failed) == ("speech openai-voice", True)
    assert (second.name, second.failed) == ("speech offline-voice", False)


async def test_the_trace_goes_on_where_nobody_records() -> None:
    assert (await record(Telemetry("agent"), None))[3:35] == OFFERED[3:35]


def test_an_agent_is_sent_with_the_trace() -> None:
    session = uuid4()
    with Span("POST /session", parent=OFFERED, root=True):
        told = json.loads(media.metadata(session))
    assert told["session_id"] == str(session)
    assert told["traceparent"][3:35] == OFFERED[3:35]
    assert set(json.loads(media.metadata(session))) == {"session_id"}
