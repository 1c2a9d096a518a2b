"""What processes hold, from the kernel's own files (Linux alone)."""

from collections.abc import Iterator, Mapping
from pathlib import Path

PROC = Path("/proc")


def sizes(roots: Mapping[str, int]) -> dict[str, tuple[float, int]]:
    """Of each process and all below it: anonymous memory in MiB, and open descriptors.

    The children of a root stand apart, under its name and theirs.
    """
    below = _children()
    found: dict[str, tuple[float, int]] = {}
    for name, root in roots.items():
        found[name] = _sum([root])
        for child in below.get(root, ()):
            key = f"{name}: {_command(child)}"
            memory, files = _sum(list(_tree(child, below)))
            before = found.get(key, (0.0, 0))
            found[key] = (before[0] + memory, before[1] + files)
    return found


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


def _sum(pids: list[int]) -> tuple[float, int]:
    memory, files = 0.0, 0
    for pid in pids:
        try:
            status = (PROC / str(pid) / "status").read_text()
            files += len(list((PROC / str(pid) / "fd").iterdir()))
        except OSError:
            continue  # it has just ended
        memory += int(status.partition("RssAnon:")[2].split()[0]) / 1024
    return memory, files


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
