"""Processes are leased, kept, and replaced when they die."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import recognising

from voice_service.offline import pool


@pytest.fixture
async def two(model_folder: Path) -> AsyncIterator[pool.Pool]:
    """A pool of two."""
    opened = pool.Pool(model_folder, 2)
    try:
        yield opened
    finally:
        await opened.aclose()


async def _say(ear: pool.Ear, text: str) -> str:
    ear.start()
    await ear.feed(await asyncio.to_thread(recognising.speech, text, "slt"))
    return (await ear.end()).text


async def test_a_process_goes_from_caller_to_caller(two: pool.Pool) -> None:
    async with two.lease() as ear:
        first = ear.pid
        assert await _say(ear, "yes please") == "Yes please"
        ear.start()
    async with two.lease() as ear:
        assert ear.pid == first
        assert await _say(ear, "no thank you") == "No thank you"


async def test_words_come_while_they_are_said(two: pool.Pool) -> None:
    said: list[str] = []
    pcm = await asyncio.to_thread(recognising.speech, "i have chest pain", "slt")
    async with two.lease() as ear:
        ear.start(said.append)
        for at in range(0, len(pcm), 640):
            await ear.feed(pcm[at : at + 640])
        heard = await ear.end()

    assert heard.text == said[-1] == "I have chest pain"
    assert len(said) > 2


async def test_a_process_that_dies_says_so_and_is_replaced(two: pool.Pool) -> None:
    async with two.lease() as ear:
        ear.start()
        os.kill(ear.pid, signal.SIGKILL)
        with pytest.raises(pool.Deaf):
            await ear.end()
        dead = ear.pid
    async with two.lease() as ear:
        assert ear.pid != dead
        assert await _say(ear, "yes please") == "Yes please"


async def test_no_more_are_heard_than_the_machine_can(two: pool.Pool) -> None:
    async with two.lease(), two.lease():
        with pytest.raises(pool.Full):
            async with two.lease():
                pass
    async with two.lease() as ear:
        assert ear.alive


async def test_a_folder_without_a_model_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(pool.Deaf):
        await pool.Pool(tmp_path, 1).warm()
