"""Spans arrive where an address is set, joined by one context; without one nothing is done."""

import asyncio
import subprocess
import sys
import time
from collections.abc import AsyncIterator

import pytest
import structlog
from collector import Collector as Receiver
from collector import collecting

import telemetry
from telemetry import Aside, Collector, Kind, Span, Telemetry, past, traceparent

OFFERED = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00"


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with collecting() as made:
        yield made


async def test_spans_nest_and_continue_the_trace_they_were_offered(receiver: Receiver) -> None:
    async with Telemetry("house").exporting(Collector(receiver.url)):
        with Span("outer", Kind.SERVER, parent=OFFERED, root=True):
            within = traceparent.get()
            with Span("inner", attributes={"db.system.name": "postgresql"}):
                past("done", Kind.CLIENT, 0.25, {})
        assert traceparent.get() == ""
    (outer,), (inner,), (done,) = map(receiver.named, ("outer", "inner", "done"))
    assert {each.trace_id for each in receiver.spans} == {OFFERED[3:35]}
    assert outer.parent_id == OFFERED[36:52]
    assert within == f"00-{outer.trace_id}-{outer.span_id}-01"
    assert receiver.above(done) == [inner, outer]
    assert outer.service == "medbot-house"
    assert inner.attributes["db.system.name"] == "postgresql"
    assert 0.2 < done.seconds < 0.3


async def test_an_exception_is_its_type_and_never_its_text(receiver: Receiver) -> None:
    async with Telemetry("house").exporting(Collector(receiver.url)):
        with pytest.raises(ValueError, match="a word"), Span("broken"):
            raise ValueError("a word that somebody said")
    (span,) = receiver.spans
    assert span.failed
    assert span.attributes == {"error.type": "ValueError"}
    assert b"somebody" not in b"".join(receiver.raw)


async def test_a_span_beside_a_generator_is_never_current(receiver: Receiver) -> None:
    async with Telemetry("house").exporting(Collector(receiver.url)):
        with Span("outer"):
            aside = Aside("call", Kind.CLIENT)
            assert aside.headers["traceparent"] != traceparent.get()
            with Span("sibling"):
                aside.end()
                aside.end()
    (call,), (sibling,), (outer,) = map(receiver.named, ("call", "sibling", "outer"))
    assert call.parent_id == sibling.parent_id == outer.span_id


async def test_two_services_of_one_process_stay_apart(receiver: Receiver) -> None:
    first, second = Telemetry("first"), Telemetry("second")
    collector = Collector(receiver.url, headers="authorization=Basic%20YWJj, x=y")

    async def work(one: Telemetry) -> None:
        one.enter()
        with Span("work"):
            await asyncio.sleep(0.01)

    async with first.exporting(collector), second.exporting(collector):
        await asyncio.gather(work(first), work(second))
    assert sorted(span.service for span in receiver.spans) == ["medbot-first", "medbot-second"]
    assert {given["authorization"] for given in receiver.headers} == {"Basic YWJj"}


async def test_every_service_records_the_same_share_of_traces(receiver: Receiver) -> None:
    wanted = [f"00-{n:032x}-00f067aa0ba902b7-01" for n in range(1, 2**64, 2**64 // 40)]
    for service in ("first", "second"):
        async with Telemetry(service).exporting(Collector(receiver.url, ratio=0.5)):
            for parent in wanted:
                with Span("work", parent=parent, root=True):
                    assert traceparent.get()[:35] == parent[:35]
    recorded = {
        service: {span.trace_id for span in receiver.spans if span.service == f"medbot-{service}"}
        for service in ("first", "second")
    }
    assert recorded["first"] == recorded["second"]
    assert 0 < len(recorded["first"]) < len(wanted)


async def test_without_a_collector_the_context_still_travels() -> None:
    async with Telemetry("house").exporting(None):
        with Span("outer", parent=OFFERED, root=True) as span:
            assert not span.recorded
            own = traceparent.get()
            assert own[:35] == OFFERED[:35]
            assert own != OFFERED
            with Span("inner"):
                assert traceparent.get() == own
            assert Aside("call").headers == {}
        with Span("outer", parent="nonsense", root=True):
            assert telemetry.context.sane(traceparent.get())


@pytest.mark.parametrize("refuses", [True, False], ids=["refuses", "is away"])
async def test_a_collector_that_takes_nothing_costs_a_line_and_no_wait(
    receiver: Receiver, refuses: bool
) -> None:
    receiver.refuses = refuses
    address = receiver.url if refuses else "http://127.0.0.1:9"
    started = time.monotonic()
    with structlog.testing.capture_logs() as lines:
        async with Telemetry("house").exporting(Collector(address)):
            for _ in range(50):
                with Span("work"):
                    pass
    assert [line["event"] for line in lines] == ["telemetry.spans_lost"]
    assert lines[0]["count"] == 50
    assert time.monotonic() - started < 10
    assert receiver.spans == []


def test_no_exporter_is_imported_without_an_address() -> None:
    code = (
        "import sys, serving.app, kit.backbone, api_gateway.main, auth_service.main\n"
        "late = [name for name in sys.modules if name.startswith('opentelemetry.exporter')]\n"
        "assert not late and 'telemetry.exporting' not in sys.modules, late"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
