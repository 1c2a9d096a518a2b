"""How long a search over one's own conversations takes, in a table that holds many people's.

    python bench/search.py [--people 1000] [--messages 1000000] [--searches 300]

An embedded PostgreSQL of its own in a new folder, migrated as usual and filled by COPY, one message
of each person in turn, so that a person's rows lie as far apart as they can. Three more people have
100, 1,000 and 10,000 messages, spread over the first twentieth. What is timed is what the service
runs: its statements under its login and under row-level security, snippets included. The table is
measured when it holds a twentieth, a fifth and all of its rows. See bench/README.md.
"""

import argparse
import asyncio
import itertools
import random
import re
import shutil
import tempfile
import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import asyncpg
import numpy as np

from conversation_service.search import store
from kit import embedded, migrations
from kit.database import Database, open_database
from kit.identity import Actor

ROOT = Path(__file__).resolve().parents[1]
A_CONVERSATION = 50
BATCH = 20_000
OTHERS = (100, 1_000, 10_000)
PARTS = (20, 5, 1)
CONVERSATION = ("id", "owner_id", "title", "titled_by", "last_seq", "created_at")
MESSAGE = ("id", "conversation_id", "owner_id", "seq", "role", "content", "created_at")
BEGUN = datetime(2025, 1, 1, tzinfo=UTC)


class Words:
    """Texts of the length of chat messages, out of the library's sentences."""

    def __init__(self, seed: int) -> None:
        self._dice = random.Random(seed)
        cards = [path.read_text("utf-8") for path in sorted((ROOT / "library").glob("*.md"))]
        prose = "\n".join(card.split("\n---\n", 1)[-1] for card in cards)
        self._sentences = re.findall(r"[A-Z][^.\n]{20,200}\.", prose)
        self.common = ["pain", "doctor", "fever", "help", "child"]
        self.rare = ["chilblains", "tinnitus", "scabies", "sciatica", "hives"]

    def text(self) -> str:
        """One to eight sentences, about 350 characters on average."""
        return " ".join(self._dice.choices(self._sentences, k=self._dice.randint(1, 8)))

    def query(self) -> str:
        """What people search for: a word, two words, a phrase, the beginning of a word."""
        word = self._dice.choice(self.common + self.rare)
        other = self._dice.choice(self.common)
        return self._dice.choice([word, f"{word} {other}", f'"{other} help" or {word}', f"{word}*"])


class Archive:
    """The rows of all people; `grow` adds to them."""

    def __init__(self, owner: Any, words: Words) -> None:
        self._owner = owner
        self._words = words
        self._conversations: dict[uuid.UUID, uuid.UUID] = {}
        self._counts: dict[uuid.UUID, int] = {}
        self._time = BEGUN

    async def grow(self, people: Iterator[uuid.UUID], count: int) -> None:
        """Adds `count` messages, one for each next of `people`."""
        for begun in range(0, count, BATCH):
            await self._copy(list(itertools.islice(people, min(BATCH, count - begun))))

    async def _copy(self, people: Sequence[uuid.UUID]) -> None:
        conversations, messages = [], []
        for person in people:
            seq = self._counts.get(person, 0)
            self._counts[person] = seq + 1
            self._time += timedelta(seconds=1)
            if seq % A_CONVERSATION == 0:
                self._conversations[person] = made = uuid.uuid4()
                title = self._words.text()[:60]
                conversations.append((made, person, title, "person", A_CONVERSATION, self._time))
            role = "assistant" if seq % 2 else "user"
            place, chat = seq % A_CONVERSATION + 1, self._conversations[person]
            message = (uuid.uuid4(), chat, person, place, role, self._words.text(), self._time)
            messages.append(message)
        await self._into("conversations", conversations, CONVERSATION)
        await self._into("messages", messages, MESSAGE)

    async def _into(self, table: str, rows: Sequence[Any], columns: Sequence[str]) -> None:
        await self._owner.copy_records_to_table(
            table, schema_name="public", records=rows, columns=columns, timeout=600
        )


async def measure(
    db: Database, people: Sequence[uuid.UUID], words: Words, searches: int
) -> tuple[float, float, float]:
    """p50, p95 and p99 of first pages, in milliseconds, after some that warm up."""
    took = []
    for number in range(searches + searches // 5):
        person = Actor.of_person(people[number % len(people)])
        query = words.query()
        started = time.perf_counter()
        async with db.transaction(person) as tx:
            await store.page(tx, person, query, None, 21)
        if number >= searches // 5:
            took.append((time.perf_counter() - started) * 1000)
    p50, p95, p99 = np.percentile(took, [50, 95, 99])
    return float(p50), float(p95), float(p99)


async def plan(db: Database, person: uuid.UUID) -> str:
    """How PostgreSQL finds the messages of a search, as that person."""
    actor = Actor.of_person(person)
    async with db.transaction(actor) as tx:
        first = (None, None, None, None, 21, store.TITLE_WEIGHT, None)
        explain = f"explain (analyze, buffers, costs off) {store.RANKED}"
        rows = await tx.fetch(explain, person, "fever", *first)
    return "\n".join(row[0] for row in rows)


async def run(options: argparse.Namespace, folder: Path) -> None:
    """Fills, measures and prints."""
    words = Words(seed=1)
    people = [uuid.uuid4() for _ in range(options.people)]
    others = [uuid.uuid4() for _ in OTHERS]
    with embedded.running_server(folder) as socket_dir:
        server = embedded.address(socket_dir, "postgres", "postgres")
        await embedded.create_database(server, "bench")
        owner_url = embedded.address(socket_dir, "postgres", "bench")
        service_url = embedded.address(socket_dir, embedded.SERVICE_LOGIN, "bench")
        await migrations.apply(owner_url, service_url=service_url)
        owner = await asyncpg.connect(owner_url)
        archive = Archive(owner, words)
        print("| messages in the table | of the one who searches | p50, ms | p95, ms | p99, ms |")
        print("| ---: | ---: | ---: | ---: | ---: |")
        async with open_database(service_url, application="bench") as db:
            there = 0
            for part in PARTS:
                size = options.messages // part
                mixed = _mixed(people, dict(zip(others, OTHERS, strict=True)), size)
                await archive.grow(mixed if not there else itertools.cycle(people), size - there)
                there = size
                for table in ("messages", "conversations"):
                    await owner.execute(f"vacuum analyze public.{table}", timeout=900)
                for person, own in zip(others, OTHERS, strict=True):
                    _row(there, own, await measure(db, [person], words, options.searches // 3))
            _row(there, there // len(people), await measure(db, people, words, options.searches))
            print(f"\n{await plan(db, people[0])}")
        size = await owner.fetchval("select pg_size_pretty(pg_total_relation_size('messages'))")
        print(f"\nmessages and their indexes: {size}")
        await owner.close()


def _mixed(
    people: Sequence[uuid.UUID], others: dict[uuid.UUID, int], count: int
) -> Iterator[uuid.UUID]:
    """Everybody in turn, and among them each of the others so many times."""
    order = [person for person, times in others.items() for _ in range(min(times, count // 4))]
    crowd = itertools.cycle(people)
    order += itertools.islice(crowd, count - len(order))
    random.Random(2).shuffle(order)
    return iter(order)


def _row(there: int, own: int, figures: tuple[float, float, float]) -> None:
    print(
        f"| {there:,} | {own:,} | " + " | ".join(f"{ms:.1f}" for ms in figures) + " |", flush=True
    )


def main() -> None:
    """Reads the options and runs."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--people", type=int, default=1000)
    parser.add_argument("--messages", type=int, default=1_000_000)
    parser.add_argument("--searches", type=int, default=300)
    options = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="medbot-search-"))
    folder.chmod(0o755)
    try:
        with suppress(KeyboardInterrupt):
            asyncio.run(run(options, folder))
    finally:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
