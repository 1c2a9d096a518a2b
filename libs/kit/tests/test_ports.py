"""The ports that tests start servers on."""

import secrets
import socket
import subprocess
import sys

import pytest

from kit.testing.ports import free_port, free_ports

TAKE = """
import sys
from kit.testing.ports import free_port
few = range(int(sys.argv[1]), int(sys.argv[2]))
print(*(free_port(few) for _ in range(20)), flush=True)
sys.stdin.read()
"""


@pytest.fixture
def few() -> range:
    """Forty ports that no other test asks for."""
    first = 10_000 + 40 * secrets.randbelow(250)
    return range(first, first + 40)


def test_what_one_process_has_taken_no_other_gets_until_it_ends(few: range) -> None:
    command = [sys.executable, "-c", TAKE, str(few.start), str(few.stop)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout is not None
        theirs = {int(port) for port in other.stdout.readline().split()}
        assert len(theirs) == 20
        mine = set()
        with pytest.raises(RuntimeError, match="no 1 free ports"):
            while True:
                mine.add(free_port(few))
        assert mine
        assert mine.isdisjoint(theirs)
        other.communicate("")
    assert free_port(few) in theirs


def test_ports_in_a_row_hold_none_that_somebody_listens_on(few: range) -> None:
    row = few[:4]
    with socket.create_server(("127.0.0.1", row[1])):
        assert free_ports(2, row) == row[2]
