"""What counting and tracing cost a request, on the smallest request that there is.

    python bench/watching.py [--rounds 15] [--requests 2000]

A service with one route of a few bytes is asked in this process, without a socket: (1) with neither
counts nor spans, as a trace context alone travels; (2) with counts, and spans that nobody records,
which is how it runs where no collector is set; (3) with every span handed to a collector on the
loopback. The rounds take turns, so that a busy machine is busy for all; figures are medians, and
ratios are medians of each round's own ratio. A real request does far more, so its share is smaller.
"""

import argparse
import asyncio
import statistics
import sys
import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

from fastapi import FastAPI
from starlette.types import ASGIApp, Message

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests" / "support"))

from collector import collecting

from kit import logs
from serving import edge
from serving.app import SILENT
from serving.edge import Edge
from telemetry import Collector, Exchange, Telemetry
from telemetry.context import child_of, traceparent

SCOPE = {
    "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": "GET",
    "scheme": "http", "path": "/things/7", "raw_path": b"/things/7", "query_string": b"",
    "root_path": "", "client": ("127.0.0.1", 5), "server": ("127.0.0.1", 80),
    "headers": [(b"traceparent", b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")],
}  # fmt: skip


class Bare:
    """In place of an Exchange: the trace context alone."""

    def __init__(self, _: Telemetry, __: str, ___: str, offered: str | None, **____: Any) -> None:
        traceparent.set(child_of(offered))

    def end(self, *_: Any) -> float:
        return 0.0


def service(telemetry: Telemetry) -> ASGIApp:
    app = FastAPI(telemetry=SILENT)

    @app.get("/things/{number}")
    async def thing(number: int) -> dict[str, int]:
        return {"number": number}

    return Edge(app, telemetry=telemetry)


async def _receive() -> Message:
    return {"type": "http.request", "body": b"", "more_body": False}


async def _send(_: Message) -> None:
    return


async def microseconds(app: ASGIApp, exchange: Any, requests: int) -> float:
    """Of one request."""
    edge.Exchange = exchange  # type: ignore[attr-defined]
    started = time.perf_counter()
    for _ in range(requests):
        await asyncio.create_task(_one(app))
    return (time.perf_counter() - started) / requests * 1e6


async def _one(app: ASGIApp) -> None:
    await app({**SCOPE, "state": {}}, _receive, _send)


async def main(rounds: int, requests: int) -> None:
    logs.configure(json_lines=True, keep_pii=False, level="ERROR")
    async with AsyncExitStack() as stack:
        collector = await stack.enter_async_context(collecting())
        silent, telling = Telemetry("bench"), Telemetry("bench")
        await stack.enter_async_context(telling.exporting(Collector(collector.url)))
        ways: dict[str, Callable[[], Awaitable[float]]] = {
            "neither": lambda: microseconds(service(silent), Bare, requests),
            "counts": lambda: microseconds(service(silent), Exchange, requests),
            "counts and spans": lambda: microseconds(service(telling), Exchange, requests),
        }
        took: dict[str, list[float]] = {name: [] for name in ways}
        for turn in range(rounds):
            names = list(ways)
            for name in names[turn % 3 :] + names[: turn % 3]:
                took[name].append(await ways[name]())
    for name, figures in took.items():
        ratios = [mine / bare for mine, bare in zip(figures, took["neither"], strict=True)]
        print(
            f"{name:<18}{statistics.median(figures):8.1f} µs a request"
            f"   ×{statistics.median(ratios):.3f}"
        )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--requests", type=int, default=2000)
    given = parser.parse_args()
    asyncio.run(main(given.rounds, given.requests))
