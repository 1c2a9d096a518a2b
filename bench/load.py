"""Mixed load for minutes at a share of what an installation bears: memory, descriptors, latency.

    python bench/load.py [--minutes 15] [--share 0.8] [--samples samples.csv]

An installation runs as `medbot up` with an embedded PostgreSQL in a new folder and a model server
that answers at once. First as many requests as it takes, by 16 clients; then `--share` of that
rate, at times that do not wait for answers, while screens and sockets are open. What each figure
holds is written in bench/README.md. The status is 1 when a request failed, or memory or
descriptors grew.
"""

import argparse
import asyncio
import csv
import json
import random
import sys
import tempfile
import time
import uuid
from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack, ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import chat_stage
import numpy as np
import processes
import uvloop
from websockets.asyncio.client import connect

PEOPLE = 30
READERS, SOCKETS = 50, 20
REOPENED_AFTER = 20.0
"""Seconds after which a screen or a socket is closed and opened again."""

CLIENTS = 16
EVERY = 5.0
LONGEST = 12
"""Messages of a person after which a conversation is left for a new one."""

SETTLED = 0.2
"""Share of the minutes before memory is looked at: caches fill, the allocator finds its level."""

FLAT = 1.05
"""What the last fifth may hold over what the fifth after `SETTLED` held."""


@dataclass
class Person:
    """Somebody with an account and a conversation."""

    email: str
    password: str
    token: str
    path: str = ""
    asked: int = 0
    busy: bool = False
    session: str = ""


@dataclass
class Crowd:
    """Whoever uses the installation, and what came of it."""

    port: int
    people: list[Person] = field(default_factory=list)
    idle: list[chat_stage.Wire] = field(default_factory=list)
    taken: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    failed: Counter[str] = field(default_factory=Counter)
    heard: Counter[str] = field(default_factory=Counter)
    draw: random.Random = field(default_factory=lambda: random.Random(7))
    questions: list[str] = field(
        default_factory=lambda: (chat_stage.ROOT / "docs/questions.txt").read_text().splitlines()
    )

    async def ask(
        self, method: str, path: str, token: str = "", body: object = None, **headers: str
    ) -> chat_stage.Answer:
        """Sends a request over a connection that is free, or a new one."""
        wire = self.idle.pop() if self.idle else chat_stage.Wire(self.port)
        try:
            answer = await wire.ask(method, path, token, body, **headers)
        except BaseException:
            wire.close()
            raise
        self.idle.append(wire)
        return answer

    async def do(self, due: float) -> None:
        """One request of the mix; milliseconds count from the time when it was `due`."""
        name = self.draw.choices(list(MIX), [share for share, _ in MIX.values()])[0]
        free = [person for person in self.people if not person.busy]
        person = self.draw.choice(free or self.people)
        try:
            async with asyncio.timeout(30):
                answer = await MIX[name][1](self, person)
        except (OSError, TimeoutError, SystemExit, asyncio.IncompleteReadError) as error:
            self.failed[f"{name}: {type(error).__name__}"] += 1
            return
        if answer.status >= 400:
            self.failed[f"{name}: {answer.status} {json.loads(answer.body)['code']}"] += 1
        self.taken[name].append((time.perf_counter() - due) * 1000)


async def _chat(crowd: Crowd, person: Person) -> chat_stage.Answer:
    if person.busy:  # everybody is: another conversation, as another screen of theirs would open
        return await _list(crowd, person)
    person.busy = True
    try:
        if person.asked % LONGEST == 0:
            made = await crowd.ask("POST", "/api/v1/conversations", person.token, {})
            person.path = f"/api/v1/conversations/{chat_stage.created(made)['id']}"
        person.asked += 1
        return await crowd.ask(
            "POST", f"{person.path}/messages", person.token,
            {"content": crowd.draw.choice(crowd.questions)},
            accept="text/event-stream", idempotency_key=str(uuid.uuid4()),
        )  # fmt: skip
    finally:
        person.busy = False


async def _list(crowd: Crowd, person: Person) -> chat_stage.Answer:
    return await crowd.ask("GET", "/api/v1/conversations?limit=20", person.token)


async def _messages(crowd: Crowd, person: Person) -> chat_stage.Answer:
    return await crowd.ask("GET", f"{person.path}/messages?limit=50", person.token)


async def _search(crowd: Crowd, person: Person) -> chat_stage.Answer:
    return await crowd.ask("GET", "/api/v1/conversations?q=headache", person.token)


async def _library(crowd: Crowd, person: Person) -> chat_stage.Answer:
    return await crowd.ask("GET", "/api/v1/library/search?q=fever&k=5", person.token)


async def _sign_in(crowd: Crowd, person: Person) -> chat_stage.Answer:
    sent = {"email": person.email, "password": person.password}
    return await crowd.ask("POST", "/api/v1/auth/login", body=sent)


Act = Callable[[Crowd, Person], Awaitable[chat_stage.Answer]]
MIX: dict[str, tuple[int, Act]] = {
    "a message and its streamed reply": (20, _chat),
    "conversations": (30, _list),
    "messages": (25, _messages),
    "search of conversations": (13, _search),
    "search of the library": (10, _library),
    "sign-in": (2, _sign_in),
}
"""What is asked, with its share in a hundred."""


async def _come(crowd: Crowd) -> None:
    for _ in range(PEOPLE):
        sent = {"email": f"{uuid.uuid4().hex}@bench.example", "password": uuid.uuid4().hex}
        made = chat_stage.created(await crowd.ask("POST", "/api/v1/auth/register", body=sent))
        person = Person(sent["email"], sent["password"], made["session"]["access_token"])
        crowd.people.append(person)
        await _chat(crowd, person)
    for person in crowd.people[:SOCKETS]:
        opened = chat_stage.created(
            await crowd.ask("POST", "/api/v1/voice/session", person.token, {})
        )
        person.session = opened["session_id"]


async def _read_feed(crowd: Crowd, person: Person) -> None:
    """A screen that is open, and opened again now and then."""
    while True:
        reader, writer = await asyncio.open_connection("127.0.0.1", crowd.port)
        head = f"GET /api/v1/events HTTP/1.1\r\nhost: bench\r\nauthorization: Bearer {person.token}"
        writer.write(f"{head}\r\n\r\n".encode())
        with suppress(TimeoutError):
            async with asyncio.timeout(REOPENED_AFTER * crowd.draw.uniform(0.5, 1.5)):
                while part := await reader.read(65_536):
                    crowd.heard["events on screens"] += part.count(b"\nid: ")
                crowd.failed["a feed ended"] += 1
        writer.close()


async def _hold_socket(crowd: Crowd, person: Person) -> None:
    """A socket that shows a transcript, opened again now and then."""
    url = f"ws://127.0.0.1:{crowd.port}/ws/transcript/{person.session}?token={person.token}"
    while True:
        async with connect(url, proxy=None) as socket:
            crowd.heard["sockets opened"] += 1
            with suppress(TimeoutError):
                async with asyncio.timeout(REOPENED_AFTER * crowd.draw.uniform(0.5, 1.5)):
                    await socket.wait_closed()
                    crowd.failed["a socket ended"] += 1


async def _bears(crowd: Crowd, seconds: float) -> float:
    """Requests a second that are answered when every client asks again at once."""
    until = time.perf_counter() + seconds
    crowd.taken.clear()

    async def client() -> None:
        while (now := time.perf_counter()) < until:
            await crowd.do(now)

    await asyncio.gather(*(client() for _ in range(CLIENTS)))
    answered = sum(map(len, crowd.taken.values()))
    crowd.taken.clear()
    return answered / seconds


async def _keep_up(crowd: Crowd, rate: float, seconds: float) -> None:
    """Requests at times of their own: a slow answer delays no other request."""
    under_way: set[asyncio.Task[None]] = set()
    due, until = time.perf_counter(), time.perf_counter() + seconds
    while due < until:
        await asyncio.sleep(max(0.0, due - time.perf_counter()))
        task = asyncio.create_task(crowd.do(due))
        under_way.add(task)
        task.add_done_callback(under_way.discard)
        due += crowd.draw.expovariate(rate)
    await asyncio.gather(*under_way)


@dataclass
class Samples:
    """What each kind of process holds, every few seconds."""

    roots: dict[str, int]
    rows: list[tuple[float, str, processes.Size]] = field(default_factory=list)

    async def take(self) -> None:
        started = time.monotonic()
        while True:
            for name, size in processes.sizes(self.roots).items():
                self.rows.append((time.monotonic() - started, name, size))
            await asyncio.sleep(EVERY)

    def ends(self, name: str) -> tuple[processes.Size, processes.Size]:
        """What it held in the fifth after it had settled, and in the last.

        Of memory the median. Of descriptors the fewest: they follow the clients' connections up
        and down, and what is never closed raises the fewest too.
        """
        own = [size for _, of, size in self.rows if of == name]
        fifth = max(1, len(own) // 5)
        at = int(len(own) * SETTLED)

        def held(sizes: list[processes.Size]) -> processes.Size:
            memory, descriptors, tables = zip(*sizes, strict=True)
            return processes.Size(float(np.median(memory)), min(descriptors), max(tables))

        return held(own[at : at + fifth]), held(own[-fifth:])

    def names(self) -> list[str]:
        return list(dict.fromkeys(name for _, name, _ in self.rows))


async def _measure(up: Any, folder: Path, options: argparse.Namespace) -> tuple[Crowd, Samples]:
    crowd = Crowd(up.port)
    await _come(crowd)
    await _bears(crowd, 5)
    bears = await _bears(crowd, options.find)
    crowd.failed.clear()
    print(f"it bears {bears:.0f} requests/s; {options.share:.0%} of that now", file=sys.stderr)
    postmaster = int((folder / "postgres" / "postmaster.pid").read_text().split()[0])
    samples = Samples({"medbot": up.process.pid, "PostgreSQL": postmaster})
    async with AsyncExitStack() as stack:
        held = [_read_feed(crowd, crowd.people[n % PEOPLE]) for n in range(READERS)]
        held += [_hold_socket(crowd, person) for person in crowd.people[:SOCKETS]]
        for work in (*held, samples.take()):
            task = asyncio.ensure_future(work)
            stack.callback(task.cancel)
        await asyncio.sleep(2)
        await _keep_up(crowd, bears * options.share, options.minutes * 60)
    return crowd, samples


def _report(crowd: Crowd, samples: Samples, minutes: float) -> bool:
    """Prints the tables; whether all was well."""
    print("| request | answered | p50, ms | p95, ms | p99, ms |")
    print("| --- | ---: | ---: | ---: | ---: |")
    everything = {**crowd.taken, "all": [ms for taken in crowd.taken.values() for ms in taken]}
    for name in (*MIX, "all"):
        p50, p95, p99 = np.percentile(everything[name], [50, 95, 99])
        print(f"| {name} | {len(everything[name])} | {p50:.1f} | {p95:.1f} | {p99:.1f} |")
    rate = len(everything["all"]) / minutes / 60
    print(f"\n{rate:.0f} requests/s; refused or cut: {dict(crowd.failed) or 'none'}")
    print(f"{dict(crowd.heard)}\n")
    print(
        "| processes | MiB, settled | at the end | descriptors, settled | at the end"
        " | tables' files, settled | at the end |"
    )
    print("| --- | ---: | ---: | ---: | ---: | ---: | ---: |")
    well = not crowd.failed
    for name in samples.names():
        before, after = samples.ends(name)
        pairs = (f"{was:.0f} | {now:.0f}" for was, now in zip(before, after, strict=True))
        print(f"| {name} | {' | '.join(pairs)} |")
        well = well and after.memory <= before.memory * FLAT
        well = well and after.descriptors <= before.descriptors * FLAT + 4
    return well


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--minutes", type=float, default=15)
    parser.add_argument("--share", type=float, default=0.8, help="of what it bears")
    parser.add_argument("--find", type=float, default=20, help="seconds to find what it bears")
    parser.add_argument("--samples", type=Path, help="a file for the samples")
    options = parser.parse_args()
    chat_stage.refuse_other_settings()
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        folder = Path(name)
        folder.chmod(0o755)
        asks = {
            "OPENAI_BASE_URL": stack.enter_context(chat_stage.instant_model()),
            "OPENAI_API_KEY": "none",
            "VOICE_JOIN_SECONDS": "86400",  # nobody speaks in the sessions that sockets show
        }
        up = stack.enter_context(chat_stage.installed(folder / "data", **asks, LLM_MODEL="instant"))
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            crowd, samples = runner.run(_measure(up, folder / "data", options))
    well = _report(crowd, samples, options.minutes)
    if options.samples:
        with options.samples.open("w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(["seconds", "processes", "MiB", "descriptors", "tables' files"])
            writer.writerows((seconds, name, *size) for seconds, name, size in samples.rows)
    if not well:
        raise SystemExit("not all was well")


if __name__ == "__main__":
    main()
