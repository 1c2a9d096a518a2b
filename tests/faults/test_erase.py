"""Erasing somebody at the worst moments: afterwards nothing of them is anywhere."""

import asyncio
from typing import Any

import asyncpg
import pytest
import scanning
from conversing import Person
from house import EMAIL, WORD, House, nothing_is_left

from contracts.events import UserRegistered
from kit import outbox
from kit.database import Database
from kit.identity import Actor

pytestmark = pytest.mark.journey


async def _ask(person: Person, path: str) -> list[str]:
    """Asks, and reads until the stream ends, however it does; the names of its events."""
    seen: list[str] = []
    body = {"content": f"I have {WORD}. What is it?"}
    async with person.stream("POST", f"{path}/messages", json=body) as events:
        async for event in events:
            seen.append(event.event)
    return seen


async def _while_it_streams(person: Person) -> tuple["asyncio.Task[list[str]]", str]:
    path = await person.start(f"My {WORD}")
    reading = asyncio.create_task(_ask(person, path))
    async with asyncio.timeout(15):
        while True:
            messages = await person.messages(path)
            if messages and messages[-1]["status"] == "streaming" and messages[-1]["content"]:
                return reading, path
            await asyncio.sleep(0.05)


async def test_the_scanner_finds_what_is_there(house: House, will: Person) -> None:
    reading, _ = await _while_it_streams(will)
    found = await scanning.tables(
        house.addresses.owner, [str(will.actor.id), EMAIL, "quaxenbosch", WORD]
    )
    assert found.keys() >= {
        '"auth"."users"', '"public"."user_profiles"', '"public"."user_roles"',
        '"public"."conversations"', '"public"."messages"', '"medbot"."reply_parts"',
        '"medbot"."sessions"', '"medbot"."feed"',
    }  # fmt: skip
    reading.cancel()
    await asyncio.gather(reading, return_exceptions=True)


async def test_while_a_reply_is_streaming(house: House, will: Person) -> None:
    reading, _ = await _while_it_streams(will)
    done = await house.completed(await house.erase(will))
    assert {part["state"] for part in done["services"]} == {"erased"}
    assert (await asyncio.wait_for(reading, 10))[-1] == "error"
    await nothing_is_left(house, will)
    await asyncio.sleep(1.5)  # the writer would have committed by now, and its lease would be over
    await nothing_is_left(house, will)


async def test_with_a_service_down_it_is_completed_when_that_comes_back(
    house: House, will: Person
) -> None:
    path = await will.start(f"My {WORD}")
    for service in ("conversation", "voice"):
        await house.stop(service)
    erasure_id = await house.erase(will)
    await asyncio.sleep(1)
    waiting = await house.follow(erasure_id)
    states = {part["service"]: part["state"] for part in waiting["services"]}
    assert states == {"auth": "erased", "conversation": "pending", "voice": "pending"}
    assert waiting["receipt"] is None
    await house.start("conversation", "voice")
    answer = await will.http.get(path)
    assert answer.status_code in {401, 404}
    done = await house.completed(erasure_id)
    assert done["receipt"].count(".") == 2
    await nothing_is_left(house, will)


@pytest.mark.long
async def test_while_an_event_of_theirs_waits(
    house: House, will: Person, database: Database
) -> None:
    assert will.actor.id is not None
    await will.start(f"My {WORD}")
    await house.stop("conversation")
    async with database.transaction(Actor.of_service("auth")) as tx:
        await outbox.emit(tx, UserRegistered(user_id=will.actor.id), source="auth")
    erasure_id = await house.erase(will)
    async with database.transaction(Actor.of_service("auth")) as tx:  # one more, behind the erasure
        await outbox.emit(tx, UserRegistered(user_id=will.actor.id), source="auth")
    await house.start("conversation")
    await house.completed(erasure_id)
    await nothing_is_left(house, will)


@pytest.mark.long
async def test_writes_that_race_with_the_erasure_leave_nothing(house: House, will: Person) -> None:
    stop = asyncio.Event()
    answers: list[int] = []

    async def write() -> None:
        while not stop.is_set():
            body = {"title": f"My {WORD}"}
            answer = await will.http.post("/api/v1/conversations", json=body)
            answers.append(answer.status_code)

    writing = [asyncio.create_task(write()) for _ in range(4)]
    await asyncio.sleep(0.3)
    await house.completed(await house.erase(will))
    await asyncio.sleep(0.5)
    stop.set()
    await asyncio.gather(*writing)
    assert set(answers) == {201, 401}
    await nothing_is_left(house, will)


@pytest.mark.long
async def test_nobody_else_loses_anything(house: House, will: Person) -> None:
    async with house.arrive("somebody.else@example.org", "Somebody Else") as other:
        path = await other.start("Kept")
        await will.start(f"My {WORD}")
        connection = await asyncpg.connect(house.addresses.owner)
        try:
            await other.http.patch(path, json={"pinned": True})
            before = await _count(connection, other)
            await house.completed(await house.erase(will))
            assert await _count(connection, other) == before
        finally:
            await connection.close()
        assert (await other.http.get(path)).json()["title"] == "Kept"


async def _count(connection: Any, person: Person) -> dict[str, int]:
    counts = {}
    for table, column in (
        ("public.user_profiles", "user_id"), ("public.user_roles", "user_id"),
        ("medbot.credentials", "user_id"), ("medbot.sessions", "user_id"),
        ("public.conversations", "owner_id"), ("medbot.feed_heads", "owner_id"),
    ):  # fmt: skip
        query = f"select count(*) from {table} where {column} = $1"
        counts[table] = await connection.fetchval(query, person.actor.id)
    return counts
