"""Two gateways with one Redis count together; without it each counts alone and nobody waits."""

import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from api_gateway.limits import Policy
from api_gateway.settings import Settings
from api_gateway.shared_limits import open_limiter
from kit import settings
from kit.errors import Misconfigured
from kit.testing.ports import free_port

TEN = Policy("ten", 10)


@contextmanager
def running_redis(port: int) -> Iterator[subprocess.Popen[bytes]]:
    program = shutil.which("redis-server")
    assert program is not None, "Debian's redis-server must be installed"
    with subprocess.Popen(
        [program, "--port", str(port), "--bind", "127.0.0.1", "--save", ""],
        stdout=subprocess.DEVNULL,
    ) as process:
        deadline = time.monotonic() + 10
        while True:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            assert time.monotonic() < deadline
            time.sleep(0.02)
        try:
            yield process
        finally:
            process.terminate()


@pytest.fixture
def port() -> int:
    return free_port()


@pytest.mark.parametrize(
    "value",
    ["localhost:6379", "redis://", "redis://:quiet@host:abc/0", "redis://:qui/et@host/0",
     "redis://host/first", "redis://host:99999"],
)  # fmt: skip
def test_what_is_no_address_stops_the_start_in_a_line_without_the_password(
    monkeypatch: pytest.MonkeyPatch, value: str
) -> None:
    monkeypatch.setenv("REDIS_URL", value)
    with pytest.raises(Misconfigured, match=r"^REDIS_URL: [^\n]+$") as refused:
        settings.load(Settings)
    assert "qui" not in str(refused.value)


@pytest.mark.parametrize(
    "value", ["redis://host", "rediss://me:word@host:1/2", "unix:///run/redis.sock", "redis://h/"]
)
def test_addresses_of_redis(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("REDIS_URL", value)
    chosen = settings.load(Settings).redis_url
    assert chosen is not None
    assert chosen.get_secret_value() == value


async def test_gateways_share_one_quota(port: int) -> None:
    url = f"redis://127.0.0.1:{port}/0"
    with running_redis(port):
        async with open_limiter(url) as one, open_limiter(url) as two:
            taken = [await gateway.take(TEN, b"k") for gateway in (one, two) * 5]
            assert [t.remaining for t in taken] == list(range(9, -1, -1))
            assert all(t.wait == 0 for t in taken)
            refused = await one.take(TEN, b"k")
            assert 0 < refused.wait <= TEN.interval
            assert refused.remaining == 0
            assert (await two.take(TEN, b"another")).remaining == 9
            assert (await two.take(Policy("other", 10), b"k")).remaining == 9


async def test_what_was_taken_comes_back_with_time(port: int) -> None:
    quick = Policy("quick", 600)  # one a tenth of a second
    with running_redis(port):
        async with open_limiter(f"redis://127.0.0.1:{port}/0") as limiter:
            for _ in range(600):
                assert (await limiter.take(quick, b"k")).wait == 0
            taken = await limiter.take(quick, b"k")
            while not taken.wait:  # what came back while the others were taken
                taken = await limiter.take(quick, b"k")
            time.sleep(taken.wait + 0.01)  # noqa: ASYNC251 - nothing else runs here
            assert (await limiter.take(quick, b"k")).wait == 0


async def test_a_redis_that_goes_away_refuses_nobody_and_comes_back(port: int) -> None:
    now = [1000.0]
    url = f"redis://127.0.0.1:{port}/0"
    async with open_limiter(url, clock=lambda: now[0]) as limiter:
        started = time.monotonic()
        assert [(await limiter.take(TEN, b"k")).remaining for _ in range(10)][-1] == 0
        assert (await limiter.take(TEN, b"k")).wait > 0  # it still counts, alone
        assert time.monotonic() - started < 2
        with running_redis(port):
            assert (await limiter.take(TEN, b"k")).wait > 0  # it is left alone for a while
            now[0] += 3
            assert (await limiter.take(TEN, b"k")).remaining == 9


async def test_a_redis_that_hangs_costs_one_wait(port: int) -> None:
    with socket.create_server(("127.0.0.1", port)):
        async with open_limiter(f"redis://127.0.0.1:{port}/0") as limiter:
            started = time.monotonic()
            for _ in range(5):
                assert (await limiter.take(TEN, b"k")).wait == 0
            assert time.monotonic() - started < 1.5


async def test_without_an_address_a_gateway_counts_alone() -> None:
    async with open_limiter(None) as limiter:
        assert (await limiter.take(TEN, b"k")).remaining == 9
