"""Checks of the machine: Python, the data folder, the disk, the ports."""

import asyncio
import os
import platform
import shutil
from collections.abc import AsyncIterator, Iterator
from contextlib import closing
from pathlib import Path

import httpx

from kit import embedded
from kit.errors import Misconfigured
from medbot import lock, running
from medbot.doctor.findings import Finding, bad, good, note
from medbot.services import IN_ORDER, Service
from medbot.settings import Settings
from medbot.terminal import Failed

GIGABYTE = 1024**3
LEAST, ROOMY = GIGABYTE // 2, 2 * GIGABYTE

KNOWN_WITHIN = 2.0
"""Seconds that whoever has a port has to answer as a service of Medbot."""


def python() -> Finding:
    """The interpreter."""
    return good(
        "python", f"{platform.python_version()} on {platform.system()} {platform.machine()}"
    )


def data_folder(settings: Settings) -> Iterator[Finding]:
    """Whether the data can be kept where DATA_DIR says, and how much room is left.

    With DATABASE_URL it may be read-only, but for `medbot up`, offline voice and an index to build.
    """
    folder = settings.data_dir.resolve()
    there = _existing(folder)
    if not writable(folder):
        said = f"{there} cannot be written"
        if settings.embedded:
            yield bad("data folder", said, "set DATA_DIR, or change its owner")
        else:
            yield note("data folder", f"{said}; only `medbot up` and offline voice need it")
        return
    try:
        if settings.embedded:
            embedded.check_place(folder)
    except Misconfigured as refused:
        said, _, remedy = str(refused).partition(": ")
        yield bad("data folder", said, remedy)
    else:
        yield good("data folder", str(folder))
    yield _disk(there)


def writable(folder: Path) -> bool:
    """Whether something can be kept there; what is missing of it can be made."""
    there = _existing(folder)
    return there.is_dir() and os.access(there, os.W_OK)


def _disk(folder: Path) -> Finding:
    free = shutil.disk_usage(folder).free
    said = f"{free / GIGABYTE:.1f} GB free"
    if free < LEAST:
        return bad("disk", said, "make room, or set DATA_DIR to a larger disk")
    return (
        good("disk", said) if free >= ROOMY else note("disk", said, "make room before it is full")
    )


async def ports(settings: Settings) -> AsyncIterator[Finding]:
    """Whether the ports are free, or Medbot's own already: of `medbot up`, or of `medbot serve`."""
    if holder := lock.holder(settings.data_dir):
        yield good("ports", f"Medbot is running: {holder}")
        return
    for service in IN_ORDER:
        yield await _port(service, settings.port + service.after)


async def _port(service: Service, port: int) -> Finding:
    said = f"{port} ({service.name})"
    try:
        with closing(running.bind("127.0.0.1", port)):
            return good("ports", f"{said} is free")
    except running.PortTaken:
        if await _answers(service, port):
            return good("ports", f"{said}: this service is running")
        return bad("ports", f"{said} is taken", "stop that program, or set PORT")
    except Failed as failed:
        return bad("ports", str(failed), "set PORT")


async def _answers(service: Service, port: int) -> bool:
    """Whether this service is what listens there."""
    try:
        async with asyncio.timeout(KNOWN_WITHIN), httpx.AsyncClient(trust_env=False) as http:
            told = (await http.get(f"http://127.0.0.1:{port}/health")).json()
    except (httpx.HTTPError, TimeoutError, ValueError):
        return False
    return isinstance(told, dict) and told.get("service") in (service.name, service.folder)


def _existing(folder: Path) -> Path:
    return next(path for path in (folder, *folder.parents) if path.exists())
