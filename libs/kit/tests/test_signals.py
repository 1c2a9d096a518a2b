"""Whoever waits is woken early, also after the connection that listens was lost without a word."""

import asyncio

from proxy import database_behind

from kit.database import Database
from kit.signals import ALIVE_EVERY, CHANNEL, Signals, open_signals
from kit.testing import Addresses
from kit.testing import bus as suite

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
