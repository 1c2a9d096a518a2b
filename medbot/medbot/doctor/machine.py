"""Checks of the machine: Python, the data folder, the disk, the ports."""

import os
import platform
import shutil
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from kit import embedded
from kit.errors import Misconfigured
from medbot import lock, running
from medbot.doctor.findings import Finding, bad, good, note
from medbot.services import IN_ORDER
from medbot.settings import Settings
from medbot.terminal import Failed

GIGABYTE = 1024**3
LEAST, ROOMY = GIGABYTE // 2, 2 * GIGABYTE


def python() -> Finding:
    """The interpreter."""
    return good(
        "python", f"{platform.python_version()} on {platform.system()} {platform.machine()}"
    )


def data_folder(settings: Settings) -> Iterator[Finding]:
    """Whether the data can be kept where DATA_DIR says, and how much room is left."""
    folder = settings.data_dir.resolve()
    there = _existing(folder)
    if not os.access(there, os.W_OK):
        yield bad("data folder", f"{there} cannot be written", "set DATA_DIR, or change its owner")
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


def _disk(folder: Path) -> Finding:
    free = shutil.disk_usage(folder).free
    said = f"{free / GIGABYTE:.1f} GB free"
    if free < LEAST:
        return bad("disk", said, "make room, or set DATA_DIR to a larger disk")
    return (
        good("disk", said) if free >= ROOMY else note("disk", said, "make room before it is full")
    )


def ports(settings: Settings) -> Iterator[Finding]:
    """Whether the ports are free, or Medbot's own already."""
    if holder := lock.holder(settings.data_dir):
        yield good("ports", f"Medbot is running: {holder}")
        return
    for service in IN_ORDER:
        yield _port(service.name, settings.port + service.after)


def _port(name: str, port: int) -> Finding:
    try:
        with closing(running.bind("127.0.0.1", port)):
            return good("ports", f"{port} ({name}) is free")
    except running.PortTaken:
        return bad("ports", f"{port} ({name}) is taken", "stop that program, or set PORT")
    except Failed as failed:
        return bad("ports", str(failed), "set PORT")


def _existing(folder: Path) -> Path:
    return next(path for path in (folder, *folder.parents) if path.exists())
