"""How a service is served: who sends or reads too slowly is cut off, and what runs may end."""

import asyncio
import math
import socket
from dataclasses import dataclass, field
from functools import partial
from types import FrameType
from typing import Any, cast

import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

MAX_HEAD = 128 * 1024
"""Bytes that may come of a head before it is whole."""

READ_WITHIN = 60.0
"""Seconds in which a client has to read `LEAST_READ` of what waits for it, so much that writing
has stopped."""

LEAST_READ = 64 * 1024
"""Bytes; or less where all that is left is less, since writing goes on then."""

STEP = 0.1

_REFUSALS = {
    408: b"HTTP/1.1 408 Request Timeout\r\nconnection: close\r\ncontent-length: 0\r\n\r\n",
    431: b"HTTP/1.1 431 Request Header Fields Too Large\r\nconnection: close\r\n"
    b"content-length: 0\r\n\r\n",
}


@dataclass(slots=True)
class Drain:
    """How a service leaves: first `/ready` says so, then it is `closing` and takes nothing new.

    Streams without an end watch `closing`; what has one may come to it.
    """

    announced: bool = False
    closing: asyncio.Event = field(default_factory=asyncio.Event)


class _Read(asyncio.Protocol):
    """Before a protocol of uvicorn: hangs up on a client that reads too little in so many seconds.

    Closing would wait for the same client, so the connection is aborted.
    """

    loop: asyncio.AbstractEventLoop
    transport: asyncio.Transport

    def __init__(self, *, read_within: float, **rest: Any) -> None:
        super().__init__(**rest)
        self._read_within = read_within
        self._unread: asyncio.TimerHandle | None = None
        self._unread_bytes = 0

    def pause_writing(self) -> None:
        super().pause_writing()
        if self._unread is None:
            self._expect_reading()

    def resume_writing(self) -> None:
        self._expect_no_reading()
        super().resume_writing()

    def connection_lost(self, exc: Exception | None) -> None:
        self._expect_no_reading()
        super().connection_lost(exc)

    def _expect_reading(self) -> None:
        self._unread_bytes = self.transport.get_write_buffer_size()
        self._unread = self.loop.call_later(self._read_within, self._look)

    def _look(self) -> None:
        self._unread = None
        if self._unread_bytes - self.transport.get_write_buffer_size() >= LEAST_READ:
            self._expect_reading()
        else:
            self.transport.abort()

    def _expect_no_reading(self) -> None:
        if self._unread is not None:
            self._unread.cancel()
            self._unread = None


class ReadSocket(_Read, WebSocketsSansIOProtocol):
    """uvicorn's own protocol of WebSockets, for clients that read."""


class Timed(_Read, HttpToolsProtocol):
    """uvicorn's own protocol, with a limit in seconds and bytes on a request's head, for clients
    that read."""

    def __init__(self, *, head_within: float, **rest: Any) -> None:
        super().__init__(**rest)
        self._head_within = head_within
        self._head_bytes = 0
        self._late: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._expect_head()

    def connection_lost(self, exc: Exception | None) -> None:
        self._expect_nothing()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self._late is not None:
            self._head_bytes += len(data)
            if self._head_bytes > MAX_HEAD:
                self._cut(431)
        elif self._is_idle():
            # uvicorn stopped its timer for these bytes, which begin no request that would end it.
            self.timeout_keep_alive_task = self.loop.call_later(
                self.timeout_keep_alive, self.timeout_keep_alive_handler
            )

    def _is_idle(self) -> bool:
        """Whether a request has had its answer, and no other has begun."""
        return (
            self.cycle is not None
            and self.cycle.response_complete
            and self.timeout_keep_alive_task is None
            and self.transport.get_protocol() is self
            and not self.transport.is_closing()
        )

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._expect_head()

    def on_headers_complete(self) -> None:
        self._expect_nothing()
        super().on_headers_complete()

    def _expect_head(self) -> None:
        if self._late is None:
            self._head_bytes = 0
            self._late = self.loop.call_later(self._head_within, self._cut, 408)

    def _expect_nothing(self) -> None:
        if self._late is not None:
            self._late.cancel()
            self._late = None

    def _cut(self, status: int) -> None:
        self._expect_nothing()
        if self.cycle is not None and not self.cycle.response_complete:
            self._expect_head()  # an answer to an earlier request is under way
        elif not self.transport.is_closing():
            if self._head_bytes:
                self.transport.write(_REFUSALS[status])
            self.transport.close()


class Server(uvicorn.Server):
    """Says by the application's `Drain` that it will leave, for `grace` seconds goes on, then lets
    what is open end. A second signal cuts that short. Ends with status 0 when it was told to."""

    def __init__(self, config: uvicorn.Config, *, grace: float = 0.0) -> None:
        super().__init__(config)
        self._grace = grace

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        drain = getattr(getattr(self.config.app, "state", None), "drain", None)
        if isinstance(drain, Drain):
            drain.announced = True
            until = asyncio.get_running_loop().time() + self._grace
            # The handler of a second signal, which may not touch the loop, sets `force_exit`.
            while asyncio.get_running_loop().time() < until and not self.force_exit:  # noqa: ASYNC110
                await asyncio.sleep(STEP)
            drain.closing.set()
        await super().shutdown(sockets)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        self.force_exit = self.should_exit
        self.should_exit = True


def config(
    app: ASGIApp,
    *,
    drain: float,
    head_within: float = 10.0,
    read_within: float = READ_WITHIN,
    lifespan: bool = True,
) -> uvicorn.Config:
    """How uvicorn serves `app`: `drain` is the seconds that open answers have at the end.

    Who stands behind a connection is for the gateway to judge, so uvicorn believes no header.
    """
    return uvicorn.Config(
        app,
        http=cast(
            "type[asyncio.Protocol]",
            partial(Timed, head_within=head_within, read_within=read_within),
        ),
        ws=cast("type[asyncio.Protocol]", partial(ReadSocket, read_within=read_within)),
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        lifespan="on" if lifespan else "off",
        timeout_graceful_shutdown=math.ceil(drain) + 2,
    )
