"""Server-sent events: a stream of named JSON events with a sign of life while it is idle."""

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any

from fastapi.sse import KEEPALIVE_COMMENT, format_sse_event
from starlette.responses import StreamingResponse

ALIVE_EVERY = 15.0
"""Seconds between two comment lines of an idle stream."""

MEDIA_TYPE = "text/event-stream"


@dataclass(frozen=True, slots=True)
class ServerEvent:
    """One event; `data` becomes JSON, `id` is what a browser sends back as `Last-Event-ID`."""

    name: str
    data: Any
    id: str | None = None

    def encode(self) -> bytes:
        """The event as it goes over the wire."""
        data = json.dumps(self.data, ensure_ascii=False, separators=(",", ":"))
        return format_sse_event(event=self.name, data_str=data, id=self.id)


def response(events: AsyncGenerator[ServerEvent, None]) -> StreamingResponse:
    """Streams `events`; when the reader leaves, the generator is closed."""
    return StreamingResponse(
        _lively(events),
        media_type=MEDIA_TYPE,
        headers={"cache-control": "no-store", "x-accel-buffering": "no"},
    )


async def _lively(events: AsyncGenerator[ServerEvent, None]) -> AsyncIterator[bytes]:
    async with aclosing(events):
        following: asyncio.Future[ServerEvent] | None = None
        try:
            while True:
                following = following or asyncio.ensure_future(anext(events))
                done, _ = await asyncio.wait({following}, timeout=ALIVE_EVERY)
                if not done:
                    yield KEEPALIVE_COMMENT
                    continue
                ready, following = following, None
                try:
                    event = ready.result()
                except StopAsyncIteration:
                    return
                yield event.encode()
        finally:
            if following is not None:
                following.cancel()
                await asyncio.gather(following, return_exceptions=True)
