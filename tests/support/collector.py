"""A collector of spans as OpenTelemetry's exporters see one: OTLP over HTTP, in protobuf."""

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from kit.testing import serve

PROTOBUF = "application/x-protobuf"


@dataclass(frozen=True)
class Seen:
    """One span as it arrived; ids in hex, `parent_id` empty for a root."""

    service: str
    name: str
    kind: int
    trace_id: str
    span_id: str
    parent_id: str
    failed: bool
    seconds: float
    attributes: dict[str, Any]


@dataclass
class Collector:
    """What arrived: the spans, and every byte."""

    url: str = ""
    refuses: bool = False
    spans: list[Seen] = field(default_factory=list)
    raw: list[bytes] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)

    def named(self, name: str) -> list[Seen]:
        """Spans of this name."""
        return [span for span in self.spans if span.name == name]

    def above(self, span: Seen) -> list[Seen]:
        """The way from a span to its root, as far as it arrived; the nearest first."""
        known = {each.span_id: each for each in self.spans}
        way: list[Seen] = []
        while (found := known.get(span.parent_id)) is not None:
            way.append(found)
            span = found
        return way

    async def _take(self, request: Request) -> Response:
        if self.refuses:
            return Response(status_code=400)
        assert request.headers["content-type"] == PROTOBUF
        body = await request.body()
        self.raw.append(body)
        self.headers.append(dict(request.headers))
        self.spans += _spans(ExportTraceServiceRequest.FromString(body))
        return Response(b"", media_type=PROTOBUF, headers={"connection": "close"})

    def app(self) -> Starlette:
        """What listens."""
        return Starlette(routes=[Route("/v1/traces", self._take, methods=["POST"])])


@asynccontextmanager
async def collecting(*, port: int = 0) -> AsyncIterator[Collector]:
    """A collector on the loopback; its `url` is the endpoint."""
    collector = Collector()
    async with serve(collector.app(), port=port) as served:
        collector.url = served.url
        yield collector


def _spans(request: Any) -> Iterable[Seen]:
    for resource in request.resource_spans:
        about = _values(resource.resource.attributes)
        for scope in resource.scope_spans:
            for span in scope.spans:
                yield Seen(
                    service=str(about["service.name"]),
                    name=span.name,
                    kind=span.kind,
                    trace_id=span.trace_id.hex(),
                    span_id=span.span_id.hex(),
                    parent_id=span.parent_span_id.hex(),
                    failed=span.status.code == 2,
                    seconds=(span.end_time_unix_nano - span.start_time_unix_nano) / 1e9,
                    attributes=_values(span.attributes),
                )


def _values(pairs: Any) -> dict[str, Any]:
    return {pair.key: getattr(pair.value, pair.value.WhichOneof("value")) for pair in pairs}
