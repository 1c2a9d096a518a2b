"""Instruments, and what one service has counted with them.

An instrument is declared once (see `catalogue`) and used anywhere: it counts for the service on
whose behalf the code runs, and for nobody where there is none. The number of its series is
bounded: labels beyond the bound are counted together, as `other`.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterable
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry

MOST_SERIES = 400
"""Series of one instrument; far more than routes times statuses that are seen in fact."""

OTHER = "other"

FAST = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
"""Seconds of what should take an instant."""

SLOW = (0.05, 0.1, 0.25, 0.5, 0.75, 1, 1.5, 2, 3, 5, 8, 13, 21, 34, 60, 180)
"""Seconds of what a model or a voice takes."""


class Metrics:
    """What one service has counted."""

    def __init__(self) -> None:
        from prometheus_client import CollectorRegistry, ProcessCollector

        self.registry: CollectorRegistry = CollectorRegistry(auto_describe=False)
        ProcessCollector(registry=self.registry)
        self._families: dict[str, Any] = {}
        self._children: dict[tuple[str, ...], Any] = {}
        self._sizes: dict[str, int] = {}

    def child(self, instrument: "Instrument", labels: tuple[str, ...]) -> Any:
        """The series with these labels, or the one of all others once there are too many."""
        key = (instrument.name, *labels)
        found = self._children.get(key)
        return found if found is not None else self._new(instrument, labels, key)

    def declare(self, instruments: Iterable["Instrument"]) -> None:
        """Shows instruments, those without labels as 0, before anything is counted."""
        for instrument in instruments:
            self._family(instrument)
            if not instrument.labels:
                self.child(instrument, ())

    def render(self) -> bytes:
        """Everything, in the text format of Prometheus."""
        from prometheus_client import generate_latest

        return generate_latest(self.registry)

    def counted(self, counter: "Counter") -> dict[tuple[str, ...], int]:
        """What every series of a counter of whole things has come to, by its labels."""
        return {
            tuple(sample.labels[label] for label in counter.labels): round(sample.value)
            for family in self._family(counter).collect()
            for sample in family.samples
        }

    def forget(self, instrument: "Instrument") -> None:
        """Drops every series of a gauge whose labels come and go."""
        if (family := self._families.get(instrument.name)) is not None and instrument.labels:
            family.clear()
        gone = [key for key in self._children if key[0] == instrument.name and len(key) > 1]
        for key in gone:
            del self._children[key]
        self._sizes.pop(instrument.name, None)

    def _new(self, instrument: "Instrument", labels: tuple[str, ...], key: tuple[str, ...]) -> Any:
        assert len(labels) == len(instrument.labels), instrument.name
        size = self._sizes.get(instrument.name, 0)
        if size >= MOST_SERIES and set(labels) != {OTHER}:
            return self.child(instrument, (OTHER,) * len(labels))
        self._sizes[instrument.name] = size + 1
        family = self._family(instrument)
        made = self._children[key] = family.labels(*labels) if labels else family
        return made

    def _family(self, instrument: "Instrument") -> Any:
        family = self._families.get(instrument.name)
        if family is None:
            family = self._families[instrument.name] = instrument.make(self.registry)
        return family


counting: ContextVar[Metrics | None] = ContextVar("counting", default=None)
"""Whose counts the running code adds to."""


@dataclass(frozen=True, slots=True)
class Instrument(ABC):
    """A name with its meaning; names end with their unit."""

    name: str
    help: str
    labels: tuple[str, ...] = ()

    @abstractmethod
    def make(self, registry: "CollectorRegistry") -> Any:
        """The family that keeps its series."""


@dataclass(frozen=True, slots=True)
class Counter(Instrument):
    """Counts what happened; its name ends with `_total`."""

    def make(self, registry: "CollectorRegistry") -> Any:
        from prometheus_client import Counter as Family
        from prometheus_client import disable_created_metrics

        disable_created_metrics()  # type: ignore[no-untyped-call]
        return Family(self.name, self.help, self.labels, registry=registry)

    def add(self, *labels: str, amount: float = 1) -> None:
        """Counts `amount` more."""
        if (metrics := counting.get()) is not None:
            metrics.child(self, labels).inc(amount)

    def counted(self) -> dict[tuple[str, ...], int]:
        """How often it happened so far, by labels."""
        metrics = counting.get()
        return {} if metrics is None else metrics.counted(self)


@dataclass(frozen=True, slots=True)
class Gauge(Instrument):
    """How something stands now."""

    def make(self, registry: "CollectorRegistry") -> Any:
        from prometheus_client import Gauge as Family

        return Family(self.name, self.help, self.labels, registry=registry)

    def set(self, value: float, *labels: str) -> None:
        """How it stands."""
        if (metrics := counting.get()) is not None:
            metrics.child(self, labels).set(value)

    def add(self, amount: float, *labels: str) -> None:
        """It goes up, or down."""
        if (metrics := counting.get()) is not None:
            metrics.child(self, labels).inc(amount)

    def forget(self) -> None:
        """What was set before is not so any more."""
        if (metrics := counting.get()) is not None:
            metrics.forget(self)


@dataclass(frozen=True, slots=True)
class Histogram(Instrument):
    """How long things took, in seconds."""

    buckets: tuple[float, ...] = FAST

    def make(self, registry: "CollectorRegistry") -> Any:
        from prometheus_client import Histogram as Family
        from prometheus_client import disable_created_metrics

        disable_created_metrics()  # type: ignore[no-untyped-call]
        return Family(self.name, self.help, self.labels, registry=registry, buckets=self.buckets)

    def observe(self, seconds: float, *labels: str) -> None:
        """One took so long."""
        if (metrics := counting.get()) is not None:
            metrics.child(self, labels).observe(seconds)
