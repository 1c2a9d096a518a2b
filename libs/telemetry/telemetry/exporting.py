"""Spans by OpenTelemetry's SDK, handed over by OTLP; imported only where an address is set.

The provider is ours alone and never the process's: other libraries would write into that what
people have said.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import requests
import structlog
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExportResult
from opentelemetry.sdk.trace.sampling import TraceIdRatioBased
from opentelemetry.trace import (
    NonRecordingSpan,
    Span,
    SpanContext,
    SpanKind,
    Status,
    StatusCode,
    TraceFlags,
    set_span_in_context,
)
from opentelemetry.trace import Tracer as SdkTracer

from telemetry.context import sane
from telemetry.service import Collector
from telemetry.spans import Attributes, Kind, Tracer

HAND_OVER_WITHIN = 3.0
"""Seconds that a collector has for a batch; what it does not take is dropped."""

EVERY = 1.0
"""Seconds between two batches."""

SAID_EVERY = 60.0
"""Seconds between two lines that say that spans are lost."""

_KINDS = {
    Kind.INTERNAL: SpanKind.INTERNAL,
    Kind.SERVER: SpanKind.SERVER,
    Kind.CLIENT: SpanKind.CLIENT,
    Kind.PRODUCER: SpanKind.PRODUCER,
    Kind.CONSUMER: SpanKind.CONSUMER,
}

_log = structlog.stdlib.get_logger(__name__)


class _Recording:
    """See `spans.Recording`."""

    __slots__ = ("_span", "context")

    def __init__(self, span: Span) -> None:
        self._span = span
        own = span.get_span_context()
        self.context = f"00-{own.trace_id:032x}-{own.span_id:016x}-{int(own.trace_flags):02x}"

    def name(self, name: str) -> None:
        self._span.update_name(name)

    def note(self, attributes: Attributes) -> None:
        self._span.set_attributes(attributes)

    def end(self, failure: str | None, at: int | None) -> None:
        if failure is not None:
            self._span.set_attribute("error.type", failure)
            self._span.set_status(Status(StatusCode.ERROR))
        self._span.end(at)


class _Tracer:
    """See `spans.Tracer`."""

    def __init__(self, tracer: SdkTracer) -> None:
        self._tracer = tracer

    def start(
        self, name: str, kind: Kind, parent: str, attributes: Attributes, at: int | None
    ) -> _Recording:
        return _Recording(
            self._tracer.start_span(
                name,
                context=_above(parent),
                kind=_KINDS[kind],
                attributes=attributes,
                start_time=at,
                record_exception=False,
                set_status_on_exception=False,
            )
        )


def _above(parent: str) -> Context:
    if not sane(parent):
        return Context()
    above = SpanContext(
        int(parent[3:35], 16), int(parent[36:52], 16), True, TraceFlags(int(parent[53:55], 16))
    )
    return set_span_in_context(NonRecordingSpan(above), Context())


class _Quiet:
    """Loses spans with one line of our own now and then, whatever the collector does."""

    def __init__(self, inner: OTLPSpanExporter) -> None:
        self._inner = inner
        self._said = -SAID_EVERY

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        try:
            result = self._inner.export(spans)
        except Exception as error:  # nothing that a collector does may reach the service
            self._say(len(spans), type(error).__name__)
            return SpanExportResult.FAILURE
        if result is not SpanExportResult.SUCCESS:
            self._say(len(spans), "refused or away")
        return result

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """It holds nothing back."""
        return True

    def shutdown(self) -> None:
        self._inner.shutdown()

    def _say(self, count: int, reason: str) -> None:
        if time.monotonic() - self._said >= SAID_EVERY:
            self._said = time.monotonic()
            _log.warning("telemetry.spans_lost", count=count, reason=reason)


@asynccontextmanager
async def open_tracer(collector: Collector, *, service: str, version: str) -> AsyncIterator[Tracer]:
    """A tracer that hands over to `collector`.

    What is recorded is chosen by the traces' ids: every service chooses the same ones, whatever a
    client asks for.
    """
    session = requests.Session()
    session.trust_env = False
    exporter = OTLPSpanExporter(
        endpoint=f"{collector.endpoint.rstrip('/')}/v1/traces",
        certificate_file=collector.authorities,
        headers=collector.pairs(),
        timeout=HAND_OVER_WITHIN,
        session=session,
    )
    resource = {
        "service.name": f"medbot-{service}",
        "service.namespace": "medbot",
        "service.version": version,
    }
    provider = TracerProvider(
        sampler=TraceIdRatioBased(collector.ratio),
        resource=Resource.create(resource),
        shutdown_on_exit=False,
    )
    provider.add_span_processor(
        BatchSpanProcessor(_Quiet(exporter), schedule_delay_millis=EVERY * 1000)
    )
    try:
        yield _Tracer(provider.get_tracer("medbot"))
    finally:
        await asyncio.to_thread(provider.shutdown)
        session.close()
