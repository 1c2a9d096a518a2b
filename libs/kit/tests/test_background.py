"""Tasks live as long as their service: one that ends is started again, and all end with it."""

import asyncio

from kit import background


async def test_a_task_that_ends_by_an_error_is_started_again() -> None:
    started = 0
    again = asyncio.Event()

    async def fail_once() -> None:
        nonlocal started
        started += 1
        if started == 1:
            raise ConnectionResetError
        again.set()
        await asyncio.Event().wait()

    async with background.running(fails=fail_once):
        await asyncio.wait_for(again.wait(), background.RESTART_AFTER + 5)
    assert started == 2


async def test_a_cancellation_in_whose_place_a_connection_fails_ends_its_task_all_the_same() -> (
    None
):
    ended = []

    async def wait_for_ever() -> None:
        lost = False
        while True:
            try:
                await asyncio.sleep(3600)
            except asyncio.CancelledError:
                if lost:
                    ended.append(True)
                    raise
                lost = True

    async with asyncio.timeout(background.CANCELLED_AFTER + 5):
        async with background.running(waits=wait_for_ever):
            await asyncio.sleep(0.01)
    assert ended == [True]


async def test_a_task_that_a_library_cancels_is_started_again() -> None:
    started = 0
    again = asyncio.Event()

    async def wait_for_what_is_given_up() -> None:
        nonlocal started
        started += 1
        if started == 1:
            given_up = asyncio.get_running_loop().create_future()
            given_up.set_exception(asyncio.CancelledError())
            await given_up
        again.set()
        await asyncio.Event().wait()

    async with background.running(waits=wait_for_what_is_given_up):
        await asyncio.wait_for(again.wait(), background.RESTART_AFTER + 5)
    assert started == 2


async def test_a_task_that_waits_for_several_is_started_again_when_one_of_them_fails() -> None:
    started = 0
    again = asyncio.Event()

    async def fail() -> None:
        raise KeyError

    async def wait_for_both() -> None:
        nonlocal started
        started += 1
        if started == 1:
            async with asyncio.TaskGroup() as both:
                both.create_task(asyncio.Event().wait())
                both.create_task(fail())
        again.set()
        await asyncio.Event().wait()

    async with background.running(waits=wait_for_both):
        await asyncio.wait_for(again.wait(), background.RESTART_AFTER + 5)
    assert started == 2
