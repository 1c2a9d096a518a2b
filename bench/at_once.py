"""How many conversations an installation holds at once: `chat.py --at-once 1,10,100`.

Each conversation is a connection of its own that sends a message as soon as the last reply has
ended, to a model that speaks for some seconds. Levels are gone through in order, in one
installation.
"""

import asyncio
import os
import re
import tempfile
import time
import uuid
from collections import Counter
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import chat_stage
import numpy as np
import uvloop

from medbot import testing

PACE = 0.25
"""Seconds before each piece of a reply, which has 18: it takes 4.5 s."""

SPREAD = 4.5
"""Seconds over which the conversations of a level begin, so that they are not in step."""

SECONDS = 20.0
PER_PERSON = 10
TICKS = os.sysconf("SC_CLK_TCK")


@dataclass
class Level:
    """What came of so many conversations at once."""

    many: int
    first: list[float] = field(default_factory=list)
    whole: list[float] = field(default_factory=list)
    refused: Counter[str] = field(default_factory=Counter)
    busy: float = 0.0
    postgres: float = 0.0

    def row(self) -> str:
        """As a line of the table."""
        cells = [f"{self.many}", f"{len(self.whole) / SECONDS:.1f}"]
        if self.first:
            p50, p95, p99 = np.percentile(self.first, [50, 95, 99])
            cells += [f"{p50:.0f}", f"{p95:.0f}", f"{p99:.0f}", f"{np.median(self.whole):.0f}"]
        else:
            cells += ["-"] * 4
        cells += [f"{self.busy:.2f}", f"{self.postgres:.2f}"]
        refused = ", ".join(f"{code} × {many}" for code, many in self.refused.items())
        return f"| {' | '.join(cells)} | {refused or 'none'} |"


HEADER = (
    "| at once | replies/s | first character, p50 ms | p95 | p99 | whole reply, p50 ms "
    "| cores, services | cores, PostgreSQL | refused |\n"
    "| ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | --- |"
)


async def _places(port: int, many: int) -> list[tuple[str, str]]:
    """Tokens and paths of so many conversations."""
    wire, found = chat_stage.Wire(port), []
    for _ in range(-(-many // PER_PERSON)):
        sent = {"email": f"{uuid.uuid4().hex}@bench.example", "password": uuid.uuid4().hex}
        person = chat_stage.created(await wire.ask("POST", "/api/v1/auth/register", body=sent))
        token = person["session"]["access_token"]
        for _ in range(PER_PERSON):
            one = chat_stage.created(await wire.ask("POST", "/api/v1/conversations", token, {}))
            found.append((token, f"/api/v1/conversations/{one['id']}"))
    wire.close()
    return found[:many]


async def _converse(
    port: int, place: tuple[str, str], level: Level, questions: list[str], delay: float
) -> None:
    """Asks again and again; what ends within the time that is measured counts."""
    await asyncio.sleep(delay)
    wire, (token, path) = chat_stage.Wire(port), place
    number = 0
    try:
        while True:
            number += 1
            answer = await wire.ask(
                "POST", f"{path}/messages", token,
                {"content": questions[(number + hash(path)) % len(questions)]},
                accept="text/event-stream", idempotency_key=str(uuid.uuid4()),
            )  # fmt: skip
            if answer.marked and b"event: done" in answer.body:
                level.first.append(answer.marked * 1000)
                level.whole.append(answer.whole * 1000)
            else:
                code = re.search(rb'"code": ?"([a-z_.]+)"', answer.body)
                level.refused[code[1].decode() if code else f"{answer.status}, cut"] += 1
                await asyncio.sleep(1.0)
    finally:
        wire.close()


def _seconds(pids: list[int]) -> float:
    """Processor time that these have used."""
    used = 0
    for pid in pids:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        used += int(fields[11]) + int(fields[12]) + int(fields[13]) + int(fields[14])
    return used / TICKS


def _backends(postmaster: int) -> float:
    """Processor time of all of PostgreSQL, those that have ended too."""
    children = Path(f"/proc/{postmaster}/task/{postmaster}/children").read_text().split()
    return _seconds([postmaster, *map(int, children)])


async def _measure(up: testing.Up, folder: Path, levels: list[int]) -> None:
    questions = (chat_stage.ROOT / "docs/questions.txt").read_text(encoding="utf-8").splitlines()
    postmaster = int((folder / "postgres" / "postmaster.pid").read_text().split()[0])
    print(HEADER, flush=True)
    for many in levels:
        places = await _places(up.port, many)
        level = Level(many)
        loop = asyncio.get_running_loop()
        tasks = [
            loop.create_task(_converse(up.port, place, level, questions, SPREAD * n / many))
            for n, place in enumerate(places)
        ]
        await asyncio.sleep(2 * SPREAD)
        for kept in (level.first, level.whole, level.refused):
            kept.clear()
        before = _seconds([up.process.pid]), _backends(postmaster), time.perf_counter()
        await asyncio.sleep(SECONDS)
        took = time.perf_counter() - before[2]
        level.busy = (_seconds([up.process.pid]) - before[0]) / took
        level.postgres = (_backends(postmaster) - before[1]) / took
        print(level.row(), flush=True)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.sleep(SPREAD)


def run(levels: list[int]) -> None:
    """Measures each level and prints a table."""
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        folder = Path(name)
        folder.chmod(0o755)
        url = stack.enter_context(chat_stage.instant_model(PACE))
        asks = {"OPENAI_BASE_URL": url, "OPENAI_API_KEY": "none", "LLM_MODEL": "paced"}
        up = stack.enter_context(chat_stage.installed(folder / "model", **asks))
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(_measure(up, folder / "model", levels))
