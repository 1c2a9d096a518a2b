"""Ports of the loopback for servers that a test starts, and starts again, in any process.

They lie below those that the kernel gives to connections: one of these could hold the port of a
server that is not up yet. Whoever has taken one keeps it from every other process of this user
until the end of its own.
"""

import fcntl
import os
import random
import socket
import tempfile
from functools import cache
from pathlib import Path

PORTS = range(20_000, 32_768)
"""Connections get 32,768 and above: `ip_local_port_range`; outside Linux 49,152."""

_taken: set[int] = set()


def free_port(among: range = PORTS) -> int:
    """A port on which nobody listens."""
    return free_ports(1, among)


def free_ports(count: int, among: range = PORTS) -> int:
    """The first of so many ports in a row; `RuntimeError` where there are none."""
    firsts = among[: len(among) - count + 1]
    for first in random.sample(firsts, len(firsts)):
        wanted = range(first, first + count)
        if _taken.isdisjoint(wanted) and all(map(_claim, wanted)):
            return first
    raise RuntimeError(f"no {count} free ports in {among}")


def _claim(port: int) -> bool:
    """Takes a port, if no process has it; one that is claimed stays so."""
    try:
        fcntl.lockf(_claims(), fcntl.LOCK_EX | fcntl.LOCK_NB, 1, port)
        _taken.add(port)
        for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
            with socket.socket(type=kind) as probe:
                probe.bind(("127.0.0.1", port))
    except OSError:
        return False
    return True


@cache
def _claims() -> int:
    """A file of which the byte at a port's number is locked by the process that has it.

    Nobody else opens it: to close any descriptor of a file gives up all locks of the process.
    """
    path = Path(tempfile.gettempdir()) / f"medbot-ports-{os.getuid()}"
    return os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
