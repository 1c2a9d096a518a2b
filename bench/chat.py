"""How soon a reply begins: from the request to the first streamed character, through the gateway.

    python bench/chat.py [--rounds 5] [--requests 100] [--concurrency 1] [--long 2000]
    python bench/chat.py --at-once 1,2,5,10,20,50,100,200,500

Two installations run as `medbot up`, each with an embedded PostgreSQL of its own in a new folder:
one asks a model server that answers at once, one has no model and answers from the library.
Rounds take turns between the two and the floors, so that a busy machine is busy for all. `--long`
adds conversations that hold so many messages before the first is sent. What each figure holds is
written in bench/README.md.
"""

import argparse
import asyncio
import sys
import tempfile
import time
import uuid
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import asyncpg
import at_once
import numpy as np
import uvloop
from chat_stage import ROOT, Wire, created, installed, instant_model, refuse_other_settings

from kit import embedded
from medbot import testing

ACCOUNTS, CONVERSATIONS = 4, 3
WARM_UP = 24
MODEL_SAYS = b"see a pharmacist if it does not get better"
SAID = "I am allergic to penicillin, and my head has hurt again since the day before. " * 4


@dataclass
class Figures:
    """Milliseconds of one kind of request, over all rounds."""

    name: str
    taken: list[float] = field(default_factory=list)

    def spread(self) -> tuple[float, float, float]:
        p50, p95, p99 = np.percentile(self.taken, [50, 95, 99])
        return float(p50), float(p95), float(p99)


@dataclass
class Talk:
    """Conversations of several people with one installation, in turns."""

    first: Figures
    whole: Figures
    places: list[tuple[str, str]]
    wires: list[Wire]
    questions: Sequence[str]
    by_model: bool
    asked: int = 0

    async def run(self, requests: int, *, counts: bool = True) -> None:
        """So many requests; each connection has conversations of its own."""
        shares = [range(at, requests, len(self.wires)) for at in range(len(self.wires))]
        turns = zip(self.wires, shares, strict=True)
        await asyncio.gather(*(
            self._turns(at, wire, len(share), counts=counts)
            for at, (wire, share) in enumerate(turns)
        ))  # fmt: skip

    async def _turns(self, at: int, wire: Wire, requests: int, *, counts: bool) -> None:
        places = self.places[at :: len(self.wires)]
        for number in range(requests):
            token, path = places[number % len(places)]
            question = self.questions[self.asked % len(self.questions)]
            self.asked += 1
            answer = await wire.ask(
                "POST", f"{path}/messages", token, {"content": question},
                accept="text/event-stream", idempotency_key=str(uuid.uuid4()),
            )  # fmt: skip
            if not answer.marked or b"event: done" not in answer.body:
                raise SystemExit(f"no whole reply: {answer.status} {answer.body[-300:]!r}")
            if (MODEL_SAYS in answer.body) != self.by_model:
                raise SystemExit(f"another mode answered: {answer.body[-300:]!r}")
            if counts:
                self.first.taken.append(answer.marked * 1000)
                self.whole.taken.append(answer.whole * 1000)


async def _open_talk(
    up: testing.Up, name: str, questions: Sequence[str], by_model: bool, concurrency: int
) -> Talk:
    """Registers people, who open conversations."""
    wires = [Wire(up.port) for _ in range(concurrency)]
    places = []
    for _ in range(ACCOUNTS):
        email = f"{uuid.uuid4().hex}@bench.example"
        person = {"email": email, "password": uuid.uuid4().hex}
        made = created(await wires[0].ask("POST", "/api/v1/auth/register", body=person))
        for _ in range(CONVERSATIONS):
            token = made["session"]["access_token"]
            one = created(await wires[0].ask("POST", "/api/v1/conversations", token, {}))
            places.append((token, f"/api/v1/conversations/{one['id']}"))
    return Talk(
        Figures(f"first character, {name}"), Figures(f"whole reply, {name}"),
        places, wires, questions, by_model,
    )  # fmt: skip


async def _fill(owner: str, talk: Talk, count: int) -> None:
    """Writes `count` messages into each conversation, straight into the database."""
    database = await asyncpg.connect(owner)
    for _, path in talk.places:
        conversation = uuid.UUID(path.rpartition("/")[2])
        person = await database.fetchval(
            "update conversations set last_seq = $2 where id = $1 returning owner_id",
            conversation,
            count,
        )
        rows = [
            (uuid.uuid4(), conversation, person, n, ("assistant", "user")[n % 2], f"{n} {SAID}")
            for n in range(1, count + 1)
        ]
        columns = ("id", "conversation_id", "owner_id", "seq", "role", "content")
        await database.copy_records_to_table("messages", records=rows, columns=columns)
    await database.execute("vacuum analyze messages")
    await database.close()


class Floors:
    """What cannot be gone below: the gateway's own door, one read, the database's two commits."""

    def __init__(self, talk: Talk, database: "asyncpg.Connection[asyncpg.Record]") -> None:
        self._wire, (self._token, self._path) = talk.wires[0], talk.places[0]
        self._database = database
        self.door = Figures("GET /health at the gateway")
        self.read = Figures("GET one conversation, signed in, a transaction")
        self.commits = Figures("two empty transactions")

    async def run(self, requests: int) -> None:
        await _timed(self.door, requests, lambda: self._get("/health"))
        await _timed(self.read, requests, lambda: self._get(self._path))
        await _timed(self.commits, requests, self._commit_twice)

    async def _get(self, path: str) -> None:
        answer = await self._wire.ask("GET", path, self._token)
        if answer.status != 200:
            raise SystemExit(f"{path}: {answer.status} {answer.body!r}")

    async def _commit_twice(self) -> None:
        for _ in range(2):
            async with self._database.transaction():
                await self._database.execute("select set_config('bench.said', $1, true)", "x")
                await self._database.execute("insert into bench_rows (said) values ($1)", "x")


async def _timed(figures: Figures, times: int, step: Callable[[], Awaitable[None]]) -> None:
    for _ in range(times):
        started = time.perf_counter()
        await step()
        figures.taken.append((time.perf_counter() - started) * 1000)


async def _open_talks(
    stack: AsyncExitStack, library: testing.Up, model: testing.Up, folder: Path,
    options: argparse.Namespace,
) -> list[Talk]:  # fmt: skip
    """Of each installation short conversations and, where they are asked for, long ones."""
    questions = (ROOT / "docs/questions.txt").read_text(encoding="utf-8").splitlines()
    asks = ((model, "instant model", True, "model"), (library, "library mode", False, "library"))
    talks = []
    for up, name, by_model, data in asks:
        talks.append(await _open_talk(up, name, questions, by_model, options.concurrency))
        if options.long:
            name = f"{name}, {options.long:,} messages before"
            talk = await _open_talk(up, name, questions, by_model, options.concurrency)
            addresses = await stack.enter_async_context(embedded.open_embedded(folder / data))
            await _fill(addresses.owner, talk, options.long)
            talks.append(talk)
    return talks


async def _measure(
    library: testing.Up, model: testing.Up, folder: Path, options: argparse.Namespace
) -> list[Figures]:
    async with AsyncExitStack() as stack:
        data = embedded.open_embedded(folder / "library")
        addresses = await stack.enter_async_context(data)
        database = await asyncpg.connect(addresses.owner)
        stack.push_async_callback(database.close)
        await database.execute("create table bench_rows (id bigserial primary key, said text)")
        talks = await _open_talks(stack, library, model, folder, options)
        floors = Floors(talks[-1], database)
        for talk in talks:
            await talk.run(WARM_UP, counts=False)
        for number in range(options.rounds):
            for talk in talks if number % 2 else reversed(talks):
                await talk.run(options.requests)
            await floors.run(options.requests)
            print(f"round {number + 1} of {options.rounds} done", file=sys.stderr)
        for wire in (wire for talk in talks for wire in talk.wires):
            wire.close()
    return [
        *(talk.first for talk in talks), *(talk.whole for talk in talks),
        floors.commits, floors.door, floors.read,
    ]  # fmt: skip


def _print(figures: Sequence[Figures]) -> None:
    floor = next(each for each in figures if each.name == "two empty transactions").spread()[0]
    print("| from the request to | requests | p50, ms | p95, ms | p99, ms | × two transactions |")
    print("| --- | ---: | ---: | ---: | ---: | ---: |")
    for each in figures:
        p50, p95, p99 = each.spread()
        count = len(each.taken)
        print(f"| {each.name} | {count} | {p50:.2f} | {p95:.2f} | {p99:.2f} | {p50 / floor:.1f} |")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--requests", type=int, default=100, help="in each mode, a round")
    parser.add_argument("--concurrency", type=int, default=1, choices=range(1, 13))
    parser.add_argument("--long", type=int, default=0, help="messages in further conversations")
    parser.add_argument("--at-once", help="conversations at once, as 1,10,100; nothing else then")
    options = parser.parse_args()
    refuse_other_settings()
    if options.at_once:
        at_once.run([int(many) for many in options.at_once.split(",")])
        return
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        folder = Path(name)
        folder.chmod(0o755)
        url = stack.enter_context(instant_model())
        asks = {"OPENAI_BASE_URL": url, "OPENAI_API_KEY": "none", "LLM_MODEL": "instant"}
        model = stack.enter_context(installed(folder / "model", **asks))
        library = stack.enter_context(installed(folder / "library"))
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            figures = runner.run(_measure(library, model, folder, options))
    _print(figures)


if __name__ == "__main__":
    main()
