"""Programs beside the services: started again when they die, stopped in time, never orphaned."""

import asyncio
import os
import signal
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from medbot import children
from medbot.children import Program

COUNTING = "import os, sys, time; print(os.getpid(), flush=True); time.sleep(60)"
STUBBORN = (
    "import os, signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN);"
    " print(os.getpid(), flush=True); time.sleep(60)"
)


def program(folder: Path, code: str, *, stop_within: float = 5.0) -> Program:
    return Program(
        "test",
        [sys.executable, "-c", code],
        dict(os.environ),
        folder / "logs" / "test.log",
        folder,
        stop_within=stop_within,
    )


def started(folder: Path) -> list[int]:
    log = folder / "logs" / "test.log"
    return [int(line) for line in log.read_text().split()] if log.exists() else []


def alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    return "Z" not in (Path("/proc") / str(process) / "stat").read_text().rpartition(")")[2][:3]


async def until(check: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(10):
        while not await check():
            await asyncio.sleep(0.02)


async def there(folder: Path, count: int) -> list[int]:
    async def enough() -> bool:
        return len(started(folder)) >= count

    await until(enough)
    return started(folder)


async def test_a_program_that_dies_is_started_again_and_stopped_at_the_end(tmp_path: Path) -> None:
    async with children.kept(program(tmp_path, COUNTING)):
        (first,) = await there(tmp_path, 1)
        os.kill(first, signal.SIGKILL)
        _, second = await there(tmp_path, 2)
        assert alive(second)
    assert not alive(second)


async def test_a_program_that_does_not_listen_is_ended_all_the_same(tmp_path: Path) -> None:
    async with children.kept(program(tmp_path, STUBBORN, stop_within=0.2)):
        (stubborn,) = await there(tmp_path, 1)
        leaving = time.monotonic()
    assert not alive(stubborn)
    assert time.monotonic() - leaving < 10


async def test_being_cut_off_while_it_stops_ends_it_at_once(tmp_path: Path) -> None:
    async def run() -> None:
        async with children.kept(program(tmp_path, STUBBORN, stop_within=60)):
            await asyncio.sleep(60)

    task = asyncio.create_task(run())
    (process,) = await there(tmp_path, 1)
    task.cancel()
    await asyncio.sleep(0.2)
    assert alive(process)
    task.cancel()
    async with asyncio.timeout(5):
        with pytest.raises(asyncio.CancelledError):
            await task
    assert not alive(process)


async def test_a_program_that_ends_at_once_is_not_started_in_a_frenzy(tmp_path: Path) -> None:
    async with children.kept(program(tmp_path, "import os; print(os.getpid(), flush=True)")):
        await asyncio.sleep(1.0)
    assert 1 <= len(started(tmp_path)) <= 3


async def test_a_cut_off_start_leaves_nothing_behind(tmp_path: Path) -> None:
    async def run() -> None:
        async with children.kept(program(tmp_path, COUNTING)):
            await asyncio.sleep(60)

    task = asyncio.create_task(run())
    (process,) = await there(tmp_path, 1)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert not alive(process)


async def test_nothing_outlives_a_killed_parent(tmp_path: Path) -> None:
    parent = f"""
import asyncio, os, sys
from pathlib import Path
from medbot import children
from medbot.children import Program
folder = Path({str(tmp_path)!r})
async def main():
    child = Program("test", [sys.executable, "-c", {COUNTING!r}], dict(os.environ),
                    folder / "logs" / "test.log", folder, stop_within=5.0)
    async with children.kept(child):
        await asyncio.sleep(60)
asyncio.run(main())
"""
    running = await asyncio.create_subprocess_exec(sys.executable, "-c", parent)
    (process,) = await there(tmp_path, 1)
    running.kill()
    await running.wait()

    async def gone() -> bool:
        return not alive(process)

    await until(gone)


async def test_a_full_log_is_kept_under_another_name(tmp_path: Path) -> None:
    wanted = program(tmp_path, COUNTING)
    wanted.log_file.parent.mkdir()
    with wanted.log_file.open("wb") as full:
        full.truncate(children.LOG_BYTES + 1)
    async with children.kept(wanted):

        async def turned_over() -> bool:
            return wanted.log_file.with_suffix(".log.1").exists()

        await until(turned_over)
        await there(tmp_path, 1)
    assert wanted.log_file.with_suffix(".log.1").stat().st_size == children.LOG_BYTES + 1
