"""What people see when something breaks: every fault under every load, as docs/faults.md.

    python bench/faults.py [--only "broker"] [--write]

A plant with all its engines is started once: gateway, auth and conversation service as processes,
an embedded PostgreSQL and a model server behind proxies, RabbitMQ and Redis. It needs Debian's
rabbitmq-server, redis-server and faketime. `--write` puts the table into docs/faults.md, unless it
is of some cells `--only`.
"""

import argparse
import asyncio
import os
import sys
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests" / "support"))

import breaking  # noqa: E402 where they are is known only now
import cells  # noqa: E402
import installation  # noqa: E402
import plant  # noqa: E402
import using  # noqa: E402

TEXT = """\
# What breaks, and what people see of it

Made by `python bench/faults.py --write` on {day}: {cores} cores, load of the machine
{before} before and {after} after. The same cells are tests: `tests/faults/test_table.py`.

## Method

One plant for all cells: gateway, auth and conversation service, each a process of `medbot serve`;
an embedded PostgreSQL and an OpenAI-compatible model server, each behind a TCP proxy; RabbitMQ and
Redis. Replies are leased for {lease:g} s. In each cell people are in the middle of something when
the fault begins; it lasts for some seconds, then it ends, and everybody goes on until they have
what they wanted.

- **Loads.** Four people read a reply as it is made ({reply:.0f} s of it). Three people send a
  message whose body is 1 MiB, half of it before the fault begins, and wait for the whole reply. Ten
  people have five screens open each, and each of them sends a message when the fault has begun.
- **Clients** are as they should be: after a refusal they try again with the same idempotency key
  every {again:g} s, they pick up a stream at the character or the event where it ended, and they
  renew a token that has expired. *What people saw* counts every refusal, cut and ending on the way,
  so a long absence has many.
- **Faults.** The conversation service is killed by SIGKILL and started after 1 s. PostgreSQL stops
  as by a power cut and starts. Every answer of PostgreSQL comes 5 s late, for 12 s. RabbitMQ is
  stopped for 3 s, Redis killed for 3 s. The model server refuses connections for 4 s and cuts those
  that are open; or it takes them and is silent for 24 s. A second instance of the conversation
  service comes with another library and can write no file over 64 KiB, so that it cannot make its
  index; then it comes with room. The clock of all services jumps two hours ahead, further than an
  access token lives, and back after 3 s (libfaketime).
- **Seconds** count from the moment in which the fault begins to end, so the start of a service that
  was killed is in them: *parts ready* until every `/ready` answers 200, *all well* until everybody
  has what they wanted, which for a reply is all of a reply of {reply:.0f} s.
- **Lost** counts replies whose stored text is not what was read, messages that are missing or there
  twice, and screens that missed an event, heard one twice or in another order.

## Table

{table}
"""


async def _run(only: str) -> list[cells.Outcome]:
    found = []
    async with AsyncExitStack() as stack:
        made = await stack.enter_async_context(plant.planted())
        crowd = await using.gathered(stack, made, 10)
        for fault in breaking.FAULTS:
            for kind in using.LOADS:
                if only.lower() in f"{fault.name}, {kind.name}".lower():
                    found.append(await cells.run(crowd, fault, kind))
                    print(found[-1].row(), flush=True)
    return found


def _load() -> str:
    return f"{os.getloadavg()[0]:.1f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--only", default="", help="cells with these words in their names")
    parser.add_argument("--write", action="store_true", help="write docs/faults.md")
    options = parser.parse_args()
    before = _load()
    print(cells.HEADER, flush=True)
    outcomes = asyncio.run(_run(options.only))
    if options.write and not options.only:
        text = TEXT.format(
            day=datetime.now(UTC).date(), cores=os.cpu_count(), before=before, after=_load(),
            lease=installation.LEASE, reply=using.REPLY_LASTS, again=using.AGAIN_AFTER,
            table=cells.table(outcomes),
        )  # fmt: skip
        (ROOT / "docs" / "faults.md").write_text(text, encoding="utf-8")
    if any(outcome.lost or outcome.unnamed() for outcome in outcomes):
        raise SystemExit("something was lost, or refused without a name")


if __name__ == "__main__":
    main()
