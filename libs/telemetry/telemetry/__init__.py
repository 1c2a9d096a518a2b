"""What a running service tells of itself: traces by OpenTelemetry, metrics for Prometheus.

`Telemetry` is one service's; `Span` and the instruments of `catalogue` are used anywhere and
concern the service on whose behalf the code runs. Neither costs anything to speak of where nobody
listens.
"""

from telemetry.context import traceparent
from telemetry.exchange import Exchange
from telemetry.listening import listening
from telemetry.service import CONTENT_TYPE, Collector, Readers, Telemetry, look
from telemetry.spans import Aside, Kind, Span, past

__all__ = [
    "CONTENT_TYPE",
    "Aside",
    "Collector",
    "Exchange",
    "Kind",
    "Readers",
    "Span",
    "Telemetry",
    "listening",
    "look",
    "past",
    "traceparent",
]
