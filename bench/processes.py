"""What processes hold, from the kernel's own files (Linux alone)."""

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

PROC = Path("/proc")


class Size(NamedTuple):
    """What processes hold."""

    memory: float
    """Anonymous, in MiB."""
    descriptors: int
    """Open ones but `tables`."""
    tables: int
    """Open files of PostgreSQL's tables and indexes: each of its processes keeps those open that
    it has read, up to `max_files_per_process`."""


def sizes(roots: Mapping[str, int]) -> dict[str, Size]:
    """What each process and all below it hold.

    The children of a root stand apart, under its name and theirs.
    """
    below = _children()
    pids: dict[str, list[int]] = {}
    for name, root in roots.items():
        pids[name] = [root]
        for child in below.get(root, ()):
            key = f"{name}: {_command(child)}"
            pids.setdefault(key, []).extend(_tree(child, below))
    return {name: _sum(of) for name, of in pids.items()}


def _children() -> dict[int, list[int]]:
    below: dict[int, list[int]] = {}
    for entry in PROC.iterdir():
        if entry.name.isdigit():
            try:
                parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            except OSError:
                continue
            below.setdefault(parent, []).append(int(entry.name))
    return below


def _tree(root: int, below: Mapping[int, list[int]]) -> Iterator[int]:
    yield root
    for child in below.get(root, ()):
        yield from _tree(child, below)


def _sum(pids: list[int]) -> Size:
    memory, files, tables = 0.0, 0, 0
    for pid in pids:
        try:
            status = (PROC / str(pid) / "status").read_text()
            open_files = list((PROC / str(pid) / "fd").iterdir())
        except OSError:
            continue  # it has just ended
        memory += int(status.partition("RssAnon:")[2].split()[0]) / 1024
        files += len(open_files)
        tables += sum("/postgres/base/" in _target(file) for file in open_files)
    return Size(memory, files - tables, tables)


def _target(file: Path) -> str:
    try:
        return os.readlink(file)
    except OSError:
        return ""  # it has just been closed


def _command(pid: int) -> str:
    try:
        words = (PROC / str(pid) / "cmdline").read_bytes().decode().split("\0")
    except OSError:
        return "ended"
    if words[0].startswith("postgres:"):
        return "backends" if words[0].startswith("postgres: medbot") else "helpers"
    return (
        "agent" if any("livekit.agents" in word for word in words) else words[0].rpartition("/")[2]
    )
