"""An event as a message of RabbitMQ's; the header `attempts` counts those that have failed."""

from typing import Any

import aio_pika
from aio_pika.abc import AbstractIncomingMessage
from pydantic import ValidationError

from contracts.events import Envelope

MOST_ATTEMPTS = 1000
"""What anybody else says beyond that is not kept."""


def attempts(message: AbstractIncomingMessage) -> int:
    """How many attempts have failed."""
    said = message.headers.get("attempts", 0)
    return min(max(said, 0), MOST_ATTEMPTS) if isinstance(said, int) else 0


def read(message: AbstractIncomingMessage) -> Envelope | None:
    try:
        return Envelope.model_validate_json(message.body)
    except ValidationError:
        return None


def written(envelope: Envelope, headers: dict[str, Any] | None = None) -> aio_pika.Message:
    return aio_pika.Message(
        envelope.model_dump_json().encode(),
        headers={"traceparent": envelope.traceparent or "", **(headers or {})},
        content_type="application/cloudevents+json",
        delivery_mode=aio_pika.DeliveryMode.PERSISTENT,
        message_id=str(envelope.id),
        type=envelope.type,
    )
