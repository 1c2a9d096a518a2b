"""How much one instance takes at once: requests, and apart from them what lasts by its nature:
streams, sockets, replies that are waited for."""

import asyncio
from contextvars import ContextVar

from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from kit.errors import ServiceUnavailable
from serving import problems

PROBES = frozenset({"/health", "/ready", "/metrics"})
"""Paths that are answered in any case."""

BODY_WITHIN = 30.0
"""Seconds for the next part of a request's body to come."""


class Overloaded(ServiceUnavailable):
    """The service has all the work that it can take; come again soon."""

    code = "service.overloaded"


class Starting(ServiceUnavailable):
    """The service waits for what it needs; come again soon."""

    code = "service.starting"


_place: ContextVar["_Place | None"] = ContextVar("place", default=None)


def will_last() -> None:
    """Says that the running request will count as a stream, before it has done anything.

    Raises:
        Overloaded: there are as many of these as there may be.
    """
    if (place := _place.get()) is not None:
        place.claim()


def lasts() -> None:
    """Says that the running request waits for something that takes long: it counts as a stream.

    Raises:
        Overloaded: there are as many of these as there may be.
    """
    if (place := _place.get()) is not None:
        place.move()


class Bounds:
    """ASGI middleware: at most `requests` and `streams` at once; the limits stand in `app.state`,
    where `waits_for` says what a service that has not opened yet waits for. A socket that is
    refused is answered by a problem in place of being opened."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self.requests = 0
        self.streams = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan" or scope["path"] in PROBES:
            await self._app(scope, receive, send)
        elif scope["app"].state.waits_for is not None:
            await self._refuse(Starting(), scope, receive, send)
        elif scope["type"] == "websocket":
            await self._carry(scope, receive, send)
        elif self.requests >= scope["app"].state.most_requests:
            await self._refuse(Overloaded(), scope, receive, send)
        else:
            await self._take(scope, receive, send)

    async def _refuse(
        self, refused: ServiceUnavailable, scope: Scope, receive: Receive, send: Send
    ) -> None:
        answer = problems.response(problems.of_domain(refused), retry_after=refused.retry_after)
        await answer(scope, receive, send)

    async def _carry(self, scope: Scope, receive: Receive, send: Send) -> None:
        """A socket is a stream that goes both ways."""
        if self.streams >= scope["app"].state.most_streams:
            await self._refuse(Overloaded(), scope, receive, send)
            return
        self.streams += 1
        try:
            await self._app(scope, receive, send)
        finally:
            self.streams -= 1

    async def _take(self, scope: Scope, receive: Receive, send: Send) -> None:
        place = _Place(self, scope["app"].state.most_streams)

        async def watched(message: Message) -> None:
            if message["type"] == "http.response.start" and _is_stream(message):
                place.move()
            await send(message)

        _place.set(place)
        try:
            await self._app(scope, _in_time(receive), watched)
        except Exception:
            if not place.refused:
                raise
            await self._refuse(Overloaded(), scope, receive, send)
        finally:
            place.leave()


class _Place:
    """What one request takes: a place among the requests, then perhaps among the streams."""

    def __init__(self, bounds: Bounds, most_streams: int) -> None:
        self._bounds = bounds
        self._most = most_streams
        self._request = True
        self._stream = False
        self.refused = False
        bounds.requests += 1

    def claim(self) -> None:
        """Takes a place among the streams as well; raises Overloaded when there is none."""
        if self._stream:
            return
        if self._bounds.streams >= self._most:
            self.refused = True
            raise Overloaded
        self._stream = True
        self._bounds.streams += 1

    def move(self) -> None:
        """Counts among the streams alone; raises Overloaded when there is no place."""
        self.claim()
        self._bounds.requests -= self._request
        self._request = False

    def leave(self) -> None:
        self._bounds.requests -= self._request
        self._bounds.streams -= self._stream
        self._request = self._stream = False


def _is_stream(start: Message) -> bool:
    return any(
        name == b"content-type" and value.startswith(b"text/event-stream")
        for name, value in start.get("headers", ())
    )


def _in_time(receive: Receive) -> Receive:
    """Waits for a body no longer than it may take; for a reader's leaving, as long as it takes."""
    more = True

    async def next_part() -> Message:
        nonlocal more
        try:
            async with asyncio.timeout(BODY_WITHIN if more else None):
                message = await receive()
        except TimeoutError:
            raise HTTPException(408) from None
        more = more and bool(message.get("more_body", False))
        return message

    return next_part
