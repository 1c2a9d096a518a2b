"""Spans: what was done, for how long, on behalf of what. Recorded where a service has a tracer.

Without one, a span costs a look at a context variable. Names and attributes follow OpenTelemetry's
semantic conventions and are made of our own words: templates of routes, names of tables, models
and events. An exception is its type alone, since its text may quote a patient.
"""

import time
from collections.abc import Mapping
from contextvars import ContextVar, Token
from enum import Enum
from types import TracebackType
from typing import Protocol

from telemetry.context import child_of, traceparent

Value = str | int | float | bool
Attributes = Mapping[str, Value]


class Kind(Enum):
    """Which side of a call a span is; the values are OpenTelemetry's."""

    INTERNAL = 0
    SERVER = 1
    CLIENT = 2
    PRODUCER = 3
    CONSUMER = 4


class Recording(Protocol):
    """One span that is being recorded."""

    @property
    def context(self) -> str:
        """Its own place in the trace, as a traceparent."""
        ...

    def name(self, name: str) -> None: ...

    def note(self, attributes: Attributes) -> None: ...

    def end(self, failure: str | None, at: int | None) -> None: ...


class Tracer(Protocol):
    """Records spans."""

    def start(
        self, name: str, kind: Kind, parent: str, attributes: Attributes, at: int | None
    ) -> Recording:
        """Begins a span below `parent`, a traceparent, or a new trace where that is empty."""
        ...


tracing: ContextVar[Tracer | None] = ContextVar("tracing", default=None)
"""Who records what the running code does; None: nobody."""


class Span:
    """A span that is current for a block: `with Span("SELECT messages", Kind.CLIENT): …`.

    With `parent`, a text that may come from anywhere, it continues that trace, or begins one, and
    is so current even where nobody records.
    """

    __slots__ = ("_recording", "_token")

    def __init__(
        self,
        name: str,
        kind: Kind = Kind.INTERNAL,
        attributes: Attributes | None = None,
        *,
        parent: str | None = None,
        root: bool = False,
    ) -> None:
        tracer = tracing.get()
        self._recording: Recording | None = None
        self._token: Token[str] | None = None
        if tracer is not None:
            above = (parent or "") if root or parent is not None else traceparent.get()
            self._recording = tracer.start(name, kind, above, attributes or {}, None)
            self._token = traceparent.set(self._recording.context)
        elif root or parent is not None:
            self._token = traceparent.set(child_of(parent))

    @property
    def recorded(self) -> bool:
        """Whether there is any use in noting something."""
        return self._recording is not None

    def name(self, name: str) -> None:
        """Calls it otherwise, now that more is known."""
        if self._recording is not None:
            self._recording.name(name)

    def note(self, attributes: Attributes) -> None:
        """Says more of it."""
        if self._recording is not None:
            self._recording.note(attributes)

    def end(self, failure: str | None = None) -> None:
        """It is over; `failure` is the type of what ended it. What was current is so again."""
        if self._recording is not None:
            self._recording.end(failure, None)
            self._recording = None
        if self._token is not None:
            traceparent.reset(self._token)
            self._token = None

    def __enter__(self) -> "Span":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        _: TracebackType | None,
    ) -> None:
        self.end(kind.__qualname__ if kind is not None else None)


class Aside:
    """A span that is never current: for generators, whose blocks others run in between."""

    __slots__ = ("_recording",)

    def __init__(
        self, name: str, kind: Kind = Kind.INTERNAL, attributes: Attributes | None = None
    ) -> None:
        tracer = tracing.get()
        self._recording: Recording | None = None
        if tracer is not None:
            above = traceparent.get()
            self._recording = tracer.start(name, kind, above, attributes or {}, None)

    @property
    def headers(self) -> dict[str, str]:
        """What a call that this span is about carries; nothing where nobody records."""
        return {"traceparent": self._recording.context} if self._recording is not None else {}

    def note(self, attributes: Attributes) -> None:
        """Says more of it."""
        if self._recording is not None:
            self._recording.note(attributes)

    def end(self, failure: str | None = None) -> None:
        """It is over. A second time is no harm."""
        if self._recording is not None:
            self._recording.end(failure, None)
            self._recording = None


def past(
    name: str,
    kind: Kind,
    seconds: float,
    attributes: Attributes,
    *,
    failure: str | None = None,
) -> None:
    """Records what has just ended after so many seconds, where it was done on behalf of something:
    what a service does unasked, again and again, would be a trace each time."""
    tracer, above = tracing.get(), traceparent.get()
    if tracer is not None and above:
        now = time.time_ns()
        began = now - int(seconds * 1e9)
        tracer.start(name, kind, above, attributes, began).end(failure, now)
