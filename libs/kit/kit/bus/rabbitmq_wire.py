"""Connections to a broker that may come later, hang, go and come back."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aio_pika
from aio_pika.abc import AbstractRobustChannel, AbstractRobustConnection
from aio_pika.connection import make_url
from aio_pika.exceptions import CONNECTION_EXCEPTIONS

from kit import background
from kit.errors import ServiceUnavailable

CONFIRM_WITHIN = 10.0
"""Seconds in which a broker answers what it is asked."""
CLOSE_WITHIN = 1.0
RECONNECT_AFTER = 1.0
HEARTBEAT = 10
"""Seconds; a broker that is silent for about three of them is given up."""

_LOST = (*CONNECTION_EXCEPTIONS, asyncio.TimeoutError)


@asynccontextmanager
async def connected(url: str) -> AsyncIterator[AbstractRobustConnection]:
    """A connection, that is being made, for as long as the block lasts."""
    asked = make_url(url)
    ours = {"reconnect_interval": str(RECONNECT_AFTER), "fail_fast": "0"}
    connection = aio_pika.RobustConnection(
        asked.update_query({"heartbeat": str(HEARTBEAT), **asked.query, **ours})
    )
    connecting = asyncio.create_task(connection.connect(CONFIRM_WITHIN))
    try:
        yield connection
    finally:
        connecting.cancel()
        await connection.close()


@asynccontextmanager
async def asking(within: float | None = None) -> AsyncIterator[None]:
    """Whatever is asked of the broker in the block, in as many seconds.

    A connection that is given up cancels what waits on it, which is no cancellation of the task
    that waits; and what was lost may come in place of one.

    Raises:
        ServiceUnavailable: the broker was lost, or took too long.
    """
    cancelled = background.cancellation()
    try:
        async with asyncio.timeout(within):
            yield
    except (*_LOST, asyncio.CancelledError) as error:
        if cancelled():
            raise asyncio.CancelledError from error
        raise ServiceUnavailable from error


@asynccontextmanager
async def channel(connection: AbstractRobustConnection) -> AsyncIterator[AbstractRobustChannel]:
    """A channel for as long as the block lasts; the connection is waited for."""
    made = await opened(connection)
    try:
        yield made
    finally:
        await close(made)


async def opened(connection: AbstractRobustConnection) -> AbstractRobustChannel:
    """A channel that whoever asks closes; the connection is waited for."""
    await connection.connected.wait()
    # What no queue takes is confirmed all the same, and lost: it must come back and raise.
    made = connection.channel(publisher_confirms=True, on_return_raises=True)
    async with asyncio.timeout(CONFIRM_WITHIN):
        await made.initialize()
    return made


async def close(made: AbstractRobustChannel) -> None:
    """Closes a channel, unless its broker takes too long to answer."""
    with contextlib.suppress(ServiceUnavailable):
        async with asking(CLOSE_WITHIN):
            await made.close()
