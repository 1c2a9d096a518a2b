"""Processes that an installation has started, from the kernel's own list."""

from pathlib import Path


def agents(parent: int) -> list[int]:
    """The agents; each leads a process group of its own."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                status = (entry / "stat").read_text().rpartition(")")[2].split()
                command = (entry / "cmdline").read_bytes()
            except OSError:
                continue
            if int(status[1]) == parent and b"livekit.agents" in command:
                found.append(int(entry.name))
    return found
