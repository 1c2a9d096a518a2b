"""Programs that run beside the services: kept alive, and gone when Medbot is gone."""

import asyncio
import contextlib
import ctypes
import os
import signal
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from kit import logs

AGAIN_AFTER = (0.2, 1.0, 5.0)
"""Seconds until a program that ended is started again; the last one holds from then on."""

WELL_AFTER = 30.0
"""A program that ran for so many seconds has started well."""

LOG_BYTES = 10 * 1024 * 1024

_PR_SET_PDEATHSIG = 1

_log = logs.get(__name__)


@dataclass(frozen=True, slots=True)
class Program:
    """`stop_within` is how many seconds it has to end by itself when it is told to.

    `orphaned` is the signal that it gets should Medbot be killed (Linux alone knows how).
    """

    name: str
    command: Sequence[str]
    env: Mapping[str, str] = field(repr=False)
    log_file: Path
    folder: Path
    stop_within: float
    orphaned: signal.Signals = signal.SIGTERM


@asynccontextmanager
async def kept(program: Program) -> AsyncIterator[None]:
    """Runs the program for as long as the block lasts, again whenever it ends.

    A cancellation while it stops ends it at once.
    """
    keeper = asyncio.create_task(_keep(program))
    try:
        yield
    finally:
        keeper.cancel()
        try:
            await asyncio.wait({keeper})
        except asyncio.CancelledError:
            keeper.cancel()
            await asyncio.wait({keeper})
            raise


async def _keep(program: Program) -> None:
    failures = 0
    loop = asyncio.get_running_loop()
    while True:
        started = loop.time()
        process = await _start(program)
        try:
            status = await process.wait()
        finally:
            await _stop(process, program.stop_within)
        failures = 0 if loop.time() - started > WELL_AFTER else failures + 1
        _log.warning("program.ended", program=program.name, status=status)
        await asyncio.sleep(AGAIN_AFTER[min(failures, len(AGAIN_AFTER) - 1)])


async def _start(program: Program) -> asyncio.subprocess.Process:
    program.log_file.parent.mkdir(parents=True, exist_ok=True)
    _turn_over(program.log_file)
    parent = os.getpid()
    with program.log_file.open("ab") as log:
        return await asyncio.create_subprocess_exec(
            *program.command,
            env=dict(program.env),
            cwd=program.folder,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,  # Ctrl-C is for Medbot, which stops it in its turn
            preexec_fn=lambda: _follow(parent, program.orphaned),
        )


async def _stop(process: asyncio.subprocess.Process, within: float) -> None:
    """Asks twice, then ends it with all that it started."""
    try:
        for patience in (within, 2.0):
            if process.returncode is not None:
                return
            with contextlib.suppress(ProcessLookupError):
                process.send_signal(signal.SIGTERM)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(process.wait(), patience)
    finally:
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            await process.wait()


def _follow(parent: int, number: signal.Signals) -> None:
    """In the new process: asks the kernel for a signal when the parent is gone."""
    if sys.platform != "linux":
        return
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, number, 0, 0, 0)
    if os.getppid() != parent:
        os.kill(os.getpid(), number)


def _turn_over(path: Path) -> None:
    """Keeps a full log under another name."""
    if path.exists() and path.stat().st_size > LOG_BYTES:
        path.replace(path.with_suffix(".log.1"))
