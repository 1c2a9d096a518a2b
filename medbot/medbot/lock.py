"""Keeps a second `medbot up` from one data folder. The kernel drops the lock of a killed one."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from medbot.terminal import Failed

NAME = "up.lock"


@contextmanager
def held(data_dir: Path, address: str) -> Iterator[None]:
    """Holds the folder for this process, which will answer at `address`.

    Raises:
        Failed: another process holds it.
    """
    try:
        data_dir.mkdir(parents=True, exist_ok=True)
        file = (data_dir / NAME).open("a+")
    except OSError as error:
        raise Failed(f"DATA_DIR: {data_dir} cannot be written: {error.strerror}") from error
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Failed(f"Medbot is running already: {_read(file.fileno())}") from None
        file.truncate(0)
        file.write(f"{address} (process {os.getpid()})")
        file.flush()
        try:
            yield
        finally:
            file.truncate(0)


def holder(data_dir: Path) -> str | None:
    """Who runs from the folder, if anybody does."""
    path = data_dir / NAME
    if not path.exists():
        return None
    with path.open("r") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return _read(file.fileno())
    return None


def _read(descriptor: int) -> str:
    return os.pread(descriptor, 200, 0).decode() or "it is about to start"
