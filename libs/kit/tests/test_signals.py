"""Whoever waits is woken early, also after the connection that listens was lost without a word."""

import asyncio

from proxy import database_behind

from kit.database import Database
from kit.signals import ALIVE_EVERY, CHANNEL, Signals, open_signals
from kit.testing import Addresses
from kit.testing import bus as suite

LET_IN = (
    b"R\0\0\0\x08\0\0\0\0",
    b"S\0\0\0\x18server_version\x0016.0\0",
    b"Z\0\0\0\x05I",
)
"""What PostgreSQL says to somebody who need not name a password."""

WAITS = 60.0
"""Seconds after which a waiter looks again, whether it was woken or not."""


async def test_a_connection_that_is_lost_without_a_word_is_missed_and_made_again(
    addresses: Addresses, database: Database
) -> None:
    async with database_behind(addresses.owner) as (proxy, address), open_signals(address) as on:
        await _until(on, listening=True)
        await _woken(on, database)
        proxy.hang()
        await _until(on, listening=False)
        proxy.go_on()
        await _until(on, listening=True)
        await _woken(on, database)


async def test_a_server_that_never_lets_it_listen_is_left_for_another_try() -> None:
    again, came = asyncio.Event(), 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal came
        came += 1
        await reader.readexactly(int.from_bytes(await reader.readexactly(4)) - 4)
        writer.write(b"".join(LET_IN))
        if came > 1:
            again.set()
        await reader.read()
        writer.close()

    async with (
        await asyncio.start_server(serve, "127.0.0.1", 0) as server,
        asyncio.timeout(2 * ALIVE_EVERY + 10),
    ):
        port = server.sockets[0].getsockname()[1]
        async with open_signals(f"postgresql://u@127.0.0.1:{port}/d?sslmode=disable"):
            await again.wait()


async def _woken(signals: Signals, database: Database) -> None:
    """Fails unless a notification wakes whoever waits for it."""
    with signals.on("topic") as woken:
        async with database.transaction(suite.CONSUMER) as tx:
            await tx.execute("select pg_notify($1, 'topic')", CHANNEL)
        async with asyncio.timeout(WAITS / 2):
            await woken(WAITS)


async def _until(signals: Signals, *, listening: bool) -> None:
    async with asyncio.timeout(2 * ALIVE_EVERY + 10):
        while signals.listening != listening:
            await asyncio.sleep(0.05)
