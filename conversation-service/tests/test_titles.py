"""A conversation gets a title after its first exchange, once, and never against a person's own."""

import asyncio
import uuid
from typing import Any

import asyncpg
import pytest
from conversing import Person, Start, Visit
from model_server import Hang, ModelServer, Refuse, Say, Step
from pydantic import SecretStr

from kit.testing import Addresses, serve

FEVER = "Hi, I have a question: what helps against my toddler's fever?"


async def titled(person: Person, path: str) -> str:
    """The title, as soon as there is one."""
    async with asyncio.timeout(10):
        while not (title := (await person.http.get(path)).json()["title"]):
            await asyncio.sleep(0.02)
    return str(title)


async def test_the_first_question_gives_the_title(alice: Person) -> None:
    path = await alice.start()
    await alice.send(path, FEVER)
    assert await titled(alice, path) == "What helps against my toddler's fever"
    await alice.send(path, "And what is flu?")
    await asyncio.sleep(0.3)
    assert await titled(alice, path) == "What helps against my toddler's fever"


async def test_a_live_update_tells_of_it(alice: Person) -> None:
    path = await alice.start()
    await alice.send(path, FEVER)
    await titled(alice, path)
    kinds: list[str] = []
    async with alice.stream("GET", "/api/v1/events", headers={"last-event-id": "0"}) as events:
        async for event in events:
            kinds.append(event.event)
            if len(kinds) == 3:
                break
    assert kinds == ["message.created", "message.created", "conversation.changed"]


async def test_a_title_that_a_person_gave_stays(alice: Person) -> None:
    given, emptied, later = await alice.start("My own"), await alice.start(), await alice.start()
    await alice.http.patch(emptied, json={"title": ""})
    await asyncio.gather(
        alice.send(given, FEVER), alice.send(emptied, FEVER), alice.send(later, FEVER)
    )
    await titled(alice, later)
    await alice.http.patch(later, json={"title": "Mine"})
    await alice.send(later, FEVER)
    await asyncio.sleep(0.5)
    titles = [(await alice.http.get(path)).json()["title"] for path in (given, emptied, later)]
    assert titles == ["My own", "", "Mine"]


async def test_after_a_crisis_the_title_says_nothing_of_it(alice: Person) -> None:
    path = await alice.start()
    await alice.send(path, "I want to kill myself")
    assert await titled(alice, path) == "A hard time"


@pytest.mark.parametrize(
    ("aside", "expected"),
    [
        ([Say('"Fever in'), Say(' toddlers."')], "Fever in toddlers"),
        ([Refuse(500)], "What helps against my toddler's fever"),
        ([Say("x" * 500)], "What helps against my toddler's fever"),
    ],
)
async def test_a_model_words_it_where_it_can(
    start: Start, visit: Visit, aside: list[Step], expected: str
) -> None:
    model = ModelServer([[Say("Drink a lot.")]], aside=aside)
    async with serve(model.app()) as server:
        alice = await visit(await start(**_asking(server.url)))
        path = await alice.start()
        await alice.send(path, FEVER)
        assert await titled(alice, path) == expected


async def test_a_model_that_hangs_delays_no_reply_and_a_crash_loses_no_title(
    start: Start, visit: Visit, addresses: Addresses
) -> None:
    """The first instance is at it for ever; its lease ends, and another one does it."""
    model = ModelServer([[Say("Drink a lot.")]], aside=[Hang()])
    async with serve(model.app()) as server:
        alice = await visit(await start(**_asking(server.url), llm_first_token_seconds=60))
        path = await alice.start()
        async with asyncio.timeout(5):
            await alice.send(path, FEVER)
        async with asyncio.timeout(20):
            while not model.asides:
                await asyncio.sleep(0.02)
        connection = await asyncpg.connect(addresses.owner)
        await connection.execute("update medbot.upkeep set lease_until = '-infinity'")
        await start()  # in library mode
        assert await titled(alice, path) == "What helps against my toddler's fever"
        async with asyncio.timeout(20):
            while await connection.fetchval("select count(*) from medbot.upkeep"):
                await asyncio.sleep(0.05)
        await connection.close()


async def test_a_request_that_nobody_finished_is_done_at_the_next_start(
    start: Start, visit: Visit, addresses: Addresses
) -> None:
    first = await visit(await start())
    path = await first.start()
    await first.send(path, FEVER)
    await titled(first, path)
    connection = await asyncpg.connect(addresses.owner)
    conversation_id = uuid.UUID(path.rpartition("/")[2])
    await connection.execute("update public.conversations set title = '', titled_by = null")
    await connection.execute(
        "insert into medbot.upkeep (conversation_id) values ($1)", conversation_id
    )
    await connection.close()
    await start()
    assert await titled(first, path) == "What helps against my toddler's fever"


def _asking(url: str) -> dict[str, Any]:
    return {"openai_base_url": f"{url}/v1", "openai_api_key": SecretStr("test")}
