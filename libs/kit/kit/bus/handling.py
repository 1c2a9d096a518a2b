"""One attempt to handle an event, in the trace of whoever caused it, the same on every bus."""

import asyncio
import time
from collections.abc import Awaitable, Callable

from contracts.events import Envelope
from kit.bus import Handler
from telemetry import Kind, Span, catalogue

HANDLE_WITHIN = 30.0
"""Seconds after which a handler counts as failed."""


async def attempt(
    queue: str,
    envelope: Envelope,
    handler: Handler,
    postpone: Callable[[Exception], Awaitable[bool]],
) -> bool:
    """Whether the event is handled; else `postpone` has it tried later, or answers that it is
    dead."""
    started = time.perf_counter()
    told = {
        "messaging.system": "medbot",
        "messaging.operation.type": "process",
        "messaging.destination.name": envelope.type,
        "messaging.consumer.group.name": queue,
        "messaging.message.id": str(envelope.id),
    }
    parent = envelope.traceparent
    with Span(f"process {envelope.type}", Kind.CONSUMER, told, parent=parent, root=True) as span:
        try:
            async with asyncio.timeout(HANDLE_WITHIN):
                await handler(envelope)
        except Exception as error:  # whatever it was, the event is tried again or laid aside
            outcome = "dead" if await postpone(error) else "postponed"
            span.end(type(error).__qualname__)
        else:
            outcome = "handled"
    catalogue.EVENT_SECONDS.observe(time.perf_counter() - started, envelope.type)
    catalogue.EVENTS.add(queue, envelope.type, outcome)
    return outcome == "handled"
