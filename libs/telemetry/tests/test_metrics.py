"""Counts are one service's own, bounded in number, and told to those who may have them."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from prometheus_client.parser import text_string_to_metric_families

from telemetry import Exchange, Readers, Telemetry, catalogue, look
from telemetry.metrics import MOST_SERIES, OTHER, counting
from telemetry.service import LOOKS_WITHIN, here

Samples = dict[tuple[str, tuple[tuple[str, str], ...]], float]


def samples(page: bytes) -> Samples:
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(page.decode())
        for sample in family.samples
    }


@pytest.fixture
def house() -> Iterator[Telemetry]:
    with counting_for(Telemetry("conversation")) as made:
        yield made


@contextmanager
def counting_for(made: Telemetry) -> Iterator[Telemetry]:
    before, whose = counting.get(), here.get()
    made.enter()
    try:
        yield made
    finally:
        counting.set(before)
        here.set(whose)


async def test_what_was_counted_is_told(house: Telemetry) -> None:
    catalogue.REPLIES.add("complete")
    catalogue.REPLIES.add("complete")
    catalogue.REPLY_STAGE_SECONDS.observe(0.3, "whole")
    found = samples(await house.page())
    assert found["medbot_replies_total", (("ending", "complete"),)] == 2
    assert found["medbot_reply_stage_seconds_count", (("stage", "whole"),)] == 1


async def test_unknown_paths_and_methods_make_no_labels(house: Telemetry) -> None:
    before = len(samples(await house.page()))
    for n in range(100):
        exchange = Exchange(house, f"BREW{n}", f"/secret/{n}", None)
        exchange.end(None, 404)
    page = await house.page()
    assert b"secret" not in page
    assert b"BREW" not in page
    counted = [
        value
        for (name, labels), value in samples(page).items()
        if name.endswith("request_duration_seconds_count") and ("http_route", "unmatched") in labels
    ]
    assert counted == [100]
    assert len(samples(page)) - before < 30


async def test_series_beyond_the_bound_are_one(house: Telemetry) -> None:
    for n in range(3 * MOST_SERIES):
        catalogue.FALLBACKS.add("openai", f"reason {n}")
    found = {
        labels: value
        for (name, labels), value in samples(await house.page()).items()
        if name == "medbot_fallbacks_total"
    }
    assert len(found) == MOST_SERIES + 1
    assert found[("part", OTHER), ("reason", OTHER)] == 2 * MOST_SERIES
    assert sum(found.values()) == 3 * MOST_SERIES


async def test_two_services_of_one_process_count_apart() -> None:
    first, second = Telemetry("conversation"), Telemetry("conversation")

    async def work(one: Telemetry, times: int) -> None:
        one.enter()
        for _ in range(times):
            catalogue.REPLIES.add("complete")
            await asyncio.sleep(0)

    await asyncio.gather(work(first, 3), work(second, 5))
    counted = [
        samples(await one.page())["medbot_replies_total", (("ending", "complete"),)]
        for one in (first, second)
    ]
    assert counted == [3, 5]


def test_whoever_counts_for_nobody_counts_nothing() -> None:
    assert counting.get() is None
    catalogue.REPLIES.add("complete")
    catalogue.REQUEST_SECONDS.observe(1, "GET", "/", "200")
    catalogue.OPEN_SOCKETS.add(1)


async def test_what_is_looked_at_is_told_and_so_is_what_cannot_be_seen(house: Telemetry) -> None:
    looked = 0

    async def seen() -> None:
        nonlocal looked
        looked += 1
        catalogue.OUTBOX_WAITING.set(7)

    async def away() -> None:
        raise OSError("a word that nobody may read")

    look("seen", seen)
    look("away", away)
    page = await house.page()
    found = samples(page)
    assert found["medbot_outbox_waiting", ()] == 7
    assert found["medbot_look_failed", (("at", "away"),)] == 1
    assert found["medbot_look_failed", (("at", "seen"),)] == 0
    assert b"nobody may read" not in page
    await asyncio.gather(*(house.page() for _ in range(20)))
    assert looked == 1


async def test_a_look_that_hangs_keeps_nobody_waiting(house: Telemetry) -> None:
    async def hang() -> None:
        await asyncio.sleep(3600)

    look("hangs", hang)
    async with asyncio.timeout(LOOKS_WITHIN + 3):
        found = samples(await house.page())
    assert found["medbot_look_failed", (("at", "hangs"),)] == 1


@pytest.mark.parametrize(
    ("readers", "authorization", "peer", "may"),
    [
        (Readers(), None, "127.0.0.1", False),
        (Readers(loopback=True), None, "127.0.0.1", True),
        (Readers(loopback=True), None, "::1", True),
        (Readers(loopback=True), None, "10.0.0.7", False),
        (Readers(loopback=True), None, None, False),
        (Readers(token="a" * 16, loopback=True), None, "127.0.0.1", False),
        (Readers(token="a" * 16), f"Bearer {'a' * 16}", "203.0.113.9", True),
        (Readers(token="a" * 16), f"Bearer {'a' * 15}", "127.0.0.1", False),
        (Readers(token="a" * 16), "a" * 16, "127.0.0.1", False),
        (Readers(token="a" * 16), "Bearer \udc80", "127.0.0.1", False),
        (Readers(public=True), None, "203.0.113.9", True),
    ],
)
def test_who_may_read(
    readers: Readers, authorization: str | None, peer: str | None, may: bool
) -> None:
    assert readers.may(authorization, peer) is may
