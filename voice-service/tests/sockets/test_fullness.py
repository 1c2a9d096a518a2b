"""When a process has too much to do for another call."""

import asyncio
import time
from collections.abc import AsyncIterator

import pytest

from kit import background
from voice_service.sockets.fullness import BEGIN, EVERY, LATE, LOOKS, Fullness

ALL_LOOKS = LOOKS * EVERY


@pytest.fixture
async def fullness() -> AsyncIterator[Fullness]:
    made = Fullness(0.9)
    async with background.running(watch=made.watch):
        yield made


async def kept_busy(seconds: float, *, working: bool) -> None:
    """Holds the loop up in steps, by work or by waiting as if others had the core."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        step = time.monotonic() + 2 * LATE
        if working:
            while time.monotonic() < step:
                pass
        else:
            time.sleep(2 * LATE)  # noqa: ASYNC251 - that is what holds it up
        await asyncio.sleep(0)


@pytest.mark.parametrize("working", [True, False])
async def test_a_loop_that_is_held_up_is_full_until_it_is_not(
    fullness: Fullness, *, working: bool
) -> None:
    assert fullness.admit(others=True)
    await kept_busy(2.5 * ALL_LOOKS, working=working)
    assert not fullness.admit(others=True)
    assert fullness.admit(others=False)
    await asyncio.sleep(ALL_LOOKS)
    assert fullness.admit(others=True)


async def test_one_long_stop_refuses_nobody(fullness: Fullness) -> None:
    await asyncio.sleep(ALL_LOOKS)
    time.sleep(2.0)  # noqa: ASYNC251 - as a collection of garbage would
    await asyncio.sleep(2 * EVERY)
    assert fullness.admit(others=True)


async def test_of_a_burst_only_so_many_begin_at_once(fullness: Fullness) -> None:
    taken = [fullness.admit(others=False) for _ in range(BEGIN + 5)]
    assert taken == [True] * BEGIN + [False] * 5
    await asyncio.sleep(ALL_LOOKS + EVERY)
    assert fullness.admit(others=True)
