"""What is left of a service that is asked for five times what it can do, through the gateway.

    python bench/overload.py [--seconds 8] [--rounds 3] [--times 0.5,1,2,5] [--cores 0,1,2,3]

The load, the gateway, the conversation service and the rest (auth and PostgreSQL) have a core of
their own each. First the best rate of answers is found with more and more connections, then
requests are sent at multiples of it, at their times whether or not earlier ones were answered. A
time is counted from when a request was due. What each figure holds is written in bench/README.md.
"""

import argparse
import asyncio
import json
import os
import resource
import secrets
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import uvloop

from kit.testing.ports import free_ports
from medbot import environment

ROOT = Path(__file__).resolve().parents[1]
PEOPLE = 40
CONNECTIONS = (4, 8, 16, 32, 64)
MOST_CONNECTIONS = 6000
PASSWORD = "correct horse battery"
OPEN_FOR = 0.6
"""Seconds whose requests have a connection each: a little more than one waits for its turn."""
NO_LIMITS = {f"RATE_LIMIT_{name}": "0" for name in ("PERSON", "ADDRESS", "SIGN_IN")}
GOOD = 200


class Wire(asyncio.Protocol):
    """One kept connection that carries one request at a time; no client library is measured."""

    def __init__(self, load: "Load") -> None:
        self._load = load
        self._data = b""
        self._due = 0.0
        self._busy = False
        self.transport: Any = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport

    def send(self, request: bytes, due: float) -> None:
        self._due, self._busy = due, True
        self.transport.write(request)

    def data_received(self, data: bytes) -> None:
        self._data += data
        head, found, body = self._data.partition(b"\r\n\r\n")
        if not found:
            return
        length = int(head.lower().partition(b"content-length:")[2].split(b"\r\n", 1)[0])
        if len(body) >= length:
            self._data, self._busy = b"", False
            self._load.answered(self, int(head[9:12]), self._due)

    def connection_lost(self, exc: Exception | None) -> None:
        self._load.lost(self, self._due, busy=self._busy)


@dataclass
class Load:
    """Sends requests and keeps what became of them; status 0 is a connection that broke."""

    port: int
    requests: Sequence[bytes]
    counts: Counter[int] = field(default_factory=Counter)
    took: dict[bool, list[float]] = field(default_factory=lambda: {True: [], False: []})
    free: deque[Wire] = field(default_factory=deque)
    connections: int = 0
    sent: int = 0
    closed_loop: bool = False
    over: bool = False
    opening: set[asyncio.Task[None]] = field(default_factory=set)

    def next(self) -> bytes:
        self.sent += 1
        return self.requests[self.sent % len(self.requests)]

    def answered(self, wire: Wire, status: int, due: float) -> None:
        now = time.perf_counter()
        if not self.over:
            self.counts[status] += 1
            self.took[status == GOOD].append(now - due)
        if self.closed_loop and not self.over:
            wire.send(self.next(), now)
        elif wire.transport.is_closing():
            self.connections -= 1
        else:
            self.free.append(wire)

    def lost(self, wire: Wire, due: float, *, busy: bool) -> None:
        self.connections -= 1
        if busy and not self.over:
            self.counts[0] += 1
        if wire in self.free:
            self.free.remove(wire)

    def fire(self, due: float) -> None:
        request = self.next()
        while self.free:
            wire = self.free.pop()
            if not wire.transport.is_closing():
                wire.send(request, due)
                return
        if self.connections >= MOST_CONNECTIONS:
            self.counts[-1] += 1
            return
        task = asyncio.ensure_future(self.open(request, due))
        self.opening.add(task)
        task.add_done_callback(self.opening.discard)

    async def open(self, request: bytes, due: float) -> None:
        self.connections += 1
        try:
            loop = asyncio.get_running_loop()
            _, wire = await loop.create_connection(lambda: Wire(self), "127.0.0.1", self.port)
        except OSError:
            self.connections -= 1
            self.counts[0] += 1
            return
        wire.send(request, due)

    async def closed(self, connections: int, seconds: float) -> None:
        """So many clients, each with one request at a time."""
        self.closed_loop = True
        for _ in range(connections):
            self.fire(time.perf_counter())
        await asyncio.sleep(seconds)
        self.over = True

    async def paced(self, rate: float, seconds: float) -> None:
        """So many requests a second, each at its time, over connections that are open before."""
        loop = asyncio.get_running_loop()
        for _ in range(min(round(rate * OPEN_FOR), MOST_CONNECTIONS)):
            _, wire = await loop.create_connection(lambda: Wire(self), "127.0.0.1", self.port)
            self.connections += 1
            self.free.append(wire)
        started, fired = time.perf_counter(), 0
        while (now := time.perf_counter() - started) < seconds:
            while fired < now * rate:
                self.fire(started + fired / rate)
                fired += 1
            await asyncio.sleep(0.002)
        self.over = True

    def told(self, seconds: float) -> dict[str, Any]:
        return {
            "counts": {str(status): count for status, count in self.counts.items()},
            "good": self.counts[GOOD] / seconds,
            "offered": self.sent / seconds,
            "served_ms": _spread(self.took[True]),
            "refused_ms": _spread(self.took[False]),
        }


def _spread(taken: list[float]) -> list[float]:
    """p50, p95, p99 and the longest, in milliseconds."""
    if not taken:
        return [0.0] * 4
    return [float(ms) for ms in np.percentile(np.array(taken) * 1e3, [50, 95, 99, 100])]


def load_now(asked: dict[str, Any]) -> dict[str, Any]:
    """One measurement, in the process that has a core for that alone."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    load = Load(asked["port"], [text.encode() for text in asked["requests"]])
    how = load.closed if asked["how"] == "closed" else load.paced
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(how(asked["much"], asked["seconds"]))
    return load.told(asked["seconds"])


@dataclass
class House:
    """The services as processes on cores of their own, with an embedded PostgreSQL."""

    folder: Path
    cores: Sequence[str]
    port: int
    stack: ExitStack
    requests: list[str] = field(default_factory=list)

    def start(self, name: str, after: int, core: str) -> None:
        kept = {k: v for k, v in os.environ.items() if k not in environment.read_here()}
        urls = {
            f"{other.upper()}_SERVICE_URL": f"http://127.0.0.1:{self.port + n}"
            for other, n in (("auth", 1), ("conversation", 2))
        }
        command = ["taskset", "-c", core, sys.executable, "-m", "medbot", "serve", name]
        log = self.stack.enter_context((self.folder / f"{name}.log").open("wb"))
        process = subprocess.Popen(
            [*command, "--port", str(self.port + after)],
            cwd=ROOT,
            env={**kept, **NO_LIMITS, **urls, "DATA_DIR": str(self.folder / "data")},
            stdout=log,
            stderr=log,
        )
        self.stack.callback(_stop, process)
        _until_ready(f"http://127.0.0.1:{self.port + after}", every=name == "gateway")

    def fill(self) -> None:
        """People with a conversation of a few messages each, and a request for it."""
        with httpx.Client(base_url=f"http://127.0.0.1:{self.port}", timeout=60) as http:
            for _ in range(PEOPLE):
                sent = {"email": f"{secrets.token_hex(8)}@example.org", "password": PASSWORD}
                answer = http.post("/api/v1/auth/register", json=sent).raise_for_status()
                token = answer.json()["session"]["access_token"]
                headers = {"authorization": f"Bearer {token}"}
                made = http.post("/api/v1/conversations", json={}, headers=headers)
                path = f"/api/v1/conversations/{made.json()['id']}/messages"
                question = {"content": "What helps with a headache?"}
                http.post(path, json=question, headers=headers).raise_for_status()
                lines = (f"GET {path} HTTP/1.1", "host: x", f"authorization: Bearer {token}")
                self.requests.append("\r\n".join((*lines, "", "")))

    def measure(self, how: str, much: float, seconds: float) -> dict[str, Any]:
        asked = {
            "port": self.port, "requests": self.requests, "how": how, "much": much,
            "seconds": seconds,
        }  # fmt: skip
        command = ["taskset", "-c", self.cores[0], sys.executable, __file__, "--load"]
        ended = subprocess.run(
            command, input=json.dumps(asked).encode(), stdout=subprocess.PIPE, check=True
        )
        time.sleep(1.0)  # what was under way at the end is over
        told: dict[str, Any] = json.loads(ended.stdout)
        return told


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.send_signal(signal.SIGTERM)
    process.wait(60)


def _until_ready(url: str, *, every: bool) -> None:
    """`every` part of the gateway's is not here: the voice service is not measured."""
    deadline = time.monotonic() + 90
    while time.monotonic() < deadline:
        try:
            if httpx.get(f"{url}/{'health' if every else 'ready'}", timeout=5).status_code == 200:
                return
        except httpx.HTTPError:
            pass
        time.sleep(0.2)
    raise SystemExit(f"{url} did not become ready")


@contextmanager
def house(cores: Sequence[str]) -> Iterator[House]:
    folder = Path(tempfile.mkdtemp(prefix="medbot-overload-"))
    folder.chmod(0o755)
    try:
        with ExitStack() as stack:
            made = House(folder, cores, free_ports(4), stack)
            made.start("auth", 1, cores[3])
            made.start("conversation", 2, cores[2])
            made.start("gateway", 0, cores[1])
            made.fill()
            yield made
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _row(name: str, told: list[dict[str, Any]]) -> str:
    """Medians over the rounds."""

    def median(pick: Any) -> float:
        return float(statistics.median(pick(one) for one in told))

    broken = sum(sum(one["counts"].get(key, 0) for key in ("0", "-1", "500")) for one in told)
    served = [median(lambda one, n=n: one["served_ms"][n]) for n in range(4)]
    cells = [
        name, f"{median(lambda one: one['offered']):,.0f}",
        f"{median(lambda one: one['good']):,.0f}",
        f"{median(lambda one: one['share']):.2f}", *(f"{ms:,.0f}" for ms in served),
        f"{median(lambda one: one['refused_ms'][2]):,.0f}", str(broken),
    ]  # fmt: skip
    return "| " + " | ".join(cells) + " |"


def run(arguments: argparse.Namespace) -> None:
    times = [float(one) for one in arguments.times.split(",")]
    with house(arguments.cores.split(",")) as made:
        made.measure("closed", 8, 2)  # warm
        rates = {}
        for connections in CONNECTIONS:
            rates[connections] = made.measure("closed", connections, arguments.seconds / 2)["good"]
            print(f"{connections} connections: {rates[connections]:,.0f}/s", file=sys.stderr)
        bears, best = max(rates.items(), key=lambda pair: pair[1])
        bests: list[float] = []
        told: dict[float, list[dict[str, Any]]] = {one: [] for one in times}
        for _ in range(arguments.rounds):
            bests.append(made.measure("closed", bears, arguments.seconds)["good"])
            print(f"best: {bests[-1]:,.0f}/s", file=sys.stderr)
            for one in times:
                measured = made.measure("paced", one * best, arguments.seconds)
                told[one].append({**measured, "share": measured["good"] / bests[-1]})
                print(f"{one}: {told[one][-1]}", file=sys.stderr)
    print(f"best, with {bears} connections: {min(bests):,.0f} to {max(bests):,.0f} answers/s\n")
    print("| offered | requests/s | answers/s | of the best | p50 | p95 | p99 | longest, ms "
          "| refused, p99 | broken |")  # fmt: skip
    print("| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |")
    for one in times:
        print(_row(f"{one:g} ×", told[one]))


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--seconds", type=float, default=8)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--times", default="0.5,1,2,5", help="multiples of the best rate")
    parser.add_argument("--cores", default="0,1,2,3", help="load, gateway, conversation, the rest")
    parser.add_argument("--load", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.load:
        json.dump(load_now(json.load(sys.stdin)), sys.stdout)
        return
    if not shutil.which("taskset"):
        raise SystemExit("bench/overload.py needs taskset on the PATH")
    run(arguments)


if __name__ == "__main__":
    main()
