"""A service whose needs come later: it waits, says what for, and opens when they are there."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from kit.errors import Misconfigured, ServiceUnavailable
from serving import starting


class Need:
    """Something that can be opened once it is `there`."""

    def __init__(self, away: Exception | None) -> None:
        self.away = away
        self.told: list[str | None] = []
        self.opened = self.closed = 0

    @asynccontextmanager
    async def open(self) -> AsyncIterator[str]:
        if self.away is not None:
            raise self.away
        self.opened += 1
        try:
            yield "context"
        finally:
            self.closed += 1


async def test_what_is_there_is_open_before_the_block_begins() -> None:
    need, installed = Need(None), list[str]()
    async with starting.opened(need.open, installed.append, need.told.append):
        assert (installed, need.told, need.closed) == (["context"], [None], 0)
    assert (need.opened, need.closed) == (1, 1)


@pytest.mark.parametrize(
    ("away", "told"),
    [(ServiceUnavailable("the database"), "the database"), (OSError("secret"), "OSError")],
)
async def test_what_is_away_is_waited_for(away: Exception, told: str) -> None:
    need, installed = Need(away), list[str]()
    async with starting.opened(need.open, installed.append, need.told.append):
        assert (installed, need.told) == ([], [told])
        need.away = None
        async with asyncio.timeout(starting.AGAIN_AFTER + 5):
            while not installed:
                await asyncio.sleep(0.02)
        assert need.told[-1] is None
    assert (need.opened, need.closed) == (1, 1)


async def test_one_that_never_opened_leaves_at_once() -> None:
    need = Need(OSError())
    async with asyncio.timeout(starting.AGAIN_AFTER / 2):
        async with starting.opened(need.open, list[str]().append, need.told.append):
            pass
    assert need.opened == 0


@pytest.mark.parametrize("fault", [Misconfigured("SOME_NAME: no"), ValueError("SOME_NAME")])
async def test_what_no_waiting_helps_against_ends_the_start(fault: Exception) -> None:
    need = Need(fault)
    with pytest.raises(type(fault), match="SOME_NAME"):
        async with starting.opened(need.open, list[str]().append, need.told.append):
            pytest.fail("it never started")


@pytest.mark.parametrize(
    ("later", "told"),
    [
        (Misconfigured("the login is refused"), "the login is refused"),
        (ValueError("secret"), "ValueError"),
    ],
)
async def test_what_is_wrong_after_a_wait_is_waited_for_and_told(
    later: Exception, told: str
) -> None:
    need, installed = Need(OSError()), list[str]()
    async with starting.opened(need.open, installed.append, need.told.append):
        need.away = later
        async with asyncio.timeout(starting.AGAIN_AFTER * 3 + 5):
            while need.told[-1] != told:
                await asyncio.sleep(0.02)
            need.away = None
            while not installed:
                await asyncio.sleep(0.02)


async def test_a_block_can_be_left_when_the_need_fails_in_that_very_moment() -> None:
    tries = 0

    @asynccontextmanager
    async def open_late() -> AsyncIterator[str]:
        nonlocal tries
        tries += 1
        if tries == 1:
            raise OSError
        try:
            await asyncio.sleep(3600)
        except asyncio.CancelledError:
            if tries == 2:
                raise OSError from None
            raise
        yield "context"

    async with asyncio.timeout(starting.AGAIN_AFTER * 4 + 5):
        async with starting.opened(open_late, list[str]().append, list[str | None]().append):
            while tries < 2:
                await asyncio.sleep(0.02)
