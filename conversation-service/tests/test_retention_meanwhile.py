"""What is written while retention is at it stays, and nothing is made of what it has removed."""

import asyncio
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from typing import Any

import asyncpg
import pytest
from conversing import Person, Start, Visit
from filling import chatter, fill
from model_server import Cut, ModelServer, Say, Step, Until
from pydantic import SecretStr

from conversation_service import retention as kept
from kit.database import Database, utc_now
from kit.identity import Actor
from kit.testing import Addresses, serve
from privacy import retention

ITSELF = Actor.of_service("conversation")
CLASSES = kept.classes(messages_days=30, feed_days=7, usage_days=None)
ALLERGY = "I am allergic to penicillin."
FRESH = "I am allergic to latex."


@pytest.fixture
async def owner(addresses: Addresses) -> AsyncIterator[Any]:
    """A connection that may do everything."""
    connection = await asyncpg.connect(addresses.owner)
    yield connection
    await connection.close()


@pytest.fixture
async def model() -> AsyncIterator[tuple[ModelServer, dict[str, Any]]]:
    """Answers at once; what it says in the background is the test's."""
    server = ModelServer([[Say("Drink a lot.")]])
    async with serve(server.app()) as served:
        settings = {"openai_base_url": f"{served.url}/v1", "openai_api_key": SecretStr("test")}
        yield server, settings


@asynccontextmanager
async def holding(addresses: Addresses, statement: str, *values: Any) -> AsyncIterator[None]:
    """What a statement locks stays locked, and nothing comes of it."""
    connection = await asyncpg.connect(addresses.owner)
    turn = connection.transaction()
    await turn.start()
    await connection.execute(statement, *values)
    try:
        yield
    finally:
        await turn.rollback()
        await connection.close()


def id_of(path: str) -> uuid.UUID:
    return uuid.UUID(path.rpartition("/")[2])


def ago(days: float) -> datetime:
    return utc_now() - timedelta(days=days)


async def let_go(database: Database) -> dict[str, int]:
    """Retention of one day."""
    return await retention.apply(database, ITSELF, CLASSES, now=utc_now())


async def waiting(owner: Any, many: int) -> None:
    """Until so many transactions wait for another one."""
    async with asyncio.timeout(10):
        while many > await owner.fetchval(
            "select count(*) from pg_stat_activity where datname = current_database()"
            " and cardinality(pg_blocking_pids(pid)) > 0"
        ):
            await asyncio.sleep(0.02)


async def empty(person: Person, owner: Any, days: float) -> str:
    """The path of an old conversation that nothing was ever said in."""
    path = await person.start("Old")
    await owner.execute(
        "update public.conversations set created_at = $2 where id = $1", id_of(path), ago(days)
    )
    return path


async def aged(addresses: Addresses, owner: Any, path: str, said: list[str], old: int) -> None:
    """Exchanges, the first `old` of them past their time."""
    await fill(addresses, path, said)
    await owner.execute(
        "update public.messages set created_at = $2 where conversation_id = $1 and seq <= $3",
        id_of(path),
        ago(40),
        2 * old,
    )


async def asked(model: ModelServer) -> None:
    """Until a model is asked for something in the background."""
    async with asyncio.timeout(20):
        while not model.asides:
            await asyncio.sleep(0.02)


async def let_go_slowly(
    addresses: Addresses, owner: Any, database: Database, let: asyncio.Event
) -> int:
    """Retention of one day that has deleted messages and not committed when a model may go on;
    answers how many went."""
    upkeep = "select 1 from medbot.upkeep for update"
    async with asyncio.TaskGroup() as group, holding(addresses, upkeep):
        gone = group.create_task(let_go(database))
        await waiting(owner, 1)
        let.set()
        await waiting(owner, 2)
    return gone.result()["messages"]


async def rested(owner: Any) -> None:
    """Until no conversation waits for upkeep."""
    async with asyncio.timeout(20):
        while await owner.fetchval("select count(*) from medbot.upkeep"):
            await asyncio.sleep(0.02)


async def test_a_conversation_that_somebody_begins_to_write_in_stays_and_the_others_go(
    alice: Person, addresses: Addresses, owner: Any, database: Database
) -> None:
    """The message has its place, and waits for the person's feed; retention waits for both. The
    reply ends, although retention waits for the next conversation by then."""
    written, other, another = [await empty(alice, owner, days) for days in (60, 50, 40)]
    feed = "insert into medbot.feed_heads values ($1, 1)"
    renaming = "select 1 from public.conversations where id = $1 for update"
    async with asyncio.TaskGroup() as group, holding(addresses, renaming, id_of(other)):
        async with holding(addresses, feed, alice.actor.id):
            sent = group.create_task(alice.send(written, "What is flu?"))
            await waiting(owner, 1)
            gone = group.create_task(let_go(database))
            await waiting(owner, 2)
        assert (await asyncio.wait_for(sent, 10)).status_code == 201
    assert len(await alice.messages(written)) == 2
    assert gone.result()["conversations"] == 2
    for path in (other, another):
        assert (await alice.http.get(path)).status_code == 404


async def test_a_conversation_that_somebody_calls_in_meanwhile_stays_and_the_others_go(
    alice: Person, addresses: Addresses, owner: Any, database: Database
) -> None:
    """The call is told of and not committed when the conversation is chosen."""
    called, other = [await empty(alice, owner, days) for days in (60, 50)]
    telling = await asyncpg.connect(addresses.owner)
    async with asyncio.TaskGroup() as group, telling.transaction():
        await telling.execute(
            "insert into medbot.voice_links (session_id, conversation_id) values ($1, $2)",
            uuid.uuid4(),
            id_of(called),
        )
        gone = group.create_task(let_go(database))
        await waiting(owner, 1)
    await telling.close()
    assert gone.result()["conversations"] == 1
    assert (await alice.http.get(called)).status_code == 200
    assert (await alice.http.get(other)).status_code == 404


@pytest.mark.parametrize("replies", [1, 30], ids=["in a batch", "as a whole batch"])
async def test_an_old_exchange_that_grows_young_meanwhile_stays_and_the_others_go(
    alice: Person, addresses: Addresses, owner: Any, database: Database, replies: int
) -> None:
    """Its question is answered anew, and has its place; retention waits for that."""
    again, other = await alice.start("As it was"), await alice.start()
    question, reply = await answered(addresses, owner, again, alice, replies)
    await aged(addresses, owner, other, ["What is a cold?"], old=1)
    words = "select 1 from public.messages where id = $1 for update"
    async with asyncio.TaskGroup() as group, holding(addresses, words, question):
        made = group.create_task(
            alice.http.post(f"{again}/messages/{reply}/regenerate", timeout=30)
        )
        await waiting(owner, 1)
        gone = group.create_task(let_go(database))
        await waiting(owner, 2)
    assert made.result().status_code == 201
    assert len(await alice.messages(again)) == replies + 2
    assert (await alice.http.get(again)).json()["title"] == "As it was"
    assert await alice.messages(other) == []
    assert gone.result()["messages"] == 2


async def answered(
    addresses: Addresses, owner: Any, path: str, person: Person, replies: int
) -> tuple[uuid.UUID, uuid.UUID]:
    """An old question with so many old replies and a title of the assistant's; answers the ids of
    the question and of its last reply."""
    question, last = uuid.uuid4(), uuid.uuid4()
    await owner.execute(
        "insert into public.messages (id, conversation_id, owner_id, seq, role, content, reply_to,"
        " created_at) select case n when 1 then $3 when $5 then $4 else gen_random_uuid() end, $1,"
        " $2, n, case n when 1 then 'user' else 'assistant' end, 'What is flu?',"
        " case when n > 1 then $3 end, $6 from generate_series(1, $5::int) n",
        id_of(path),
        person.actor.id,
        question,
        last,
        replies + 1,
        ago(60),
    )
    await owner.execute(
        "update public.conversations set last_seq = $2, titled_by = 'assistant' where id = $1",
        id_of(path),
        replies + 1,
    )
    return question, last


async def test_a_summary_holds_nothing_that_went_while_a_model_wrote_it(
    start: Start, visit: Visit, addresses: Addresses, owner: Any, database: Database,
    model: tuple[ModelServer, dict[str, Any]],
) -> None:  # fmt: skip
    let = asyncio.Event()
    model[0].aside = [Until(let), Say("They cannot take penicillin.")]
    alice = await visit(await start(**model[1]))
    path = await alice.start("Long")
    await aged(addresses, owner, path, [ALLERGY, *chatter(9), FRESH, *chatter(9)], old=10)
    await alice.send(path, "What is flu?")
    await asked(model[0])
    assert await let_go_slowly(addresses, owner, database, let) == 20
    await rested(owner)
    found = (await alice.http.get(f"{path}/summary")).json()
    assert found["messages"] == 22
    assert "latex" in found["text"]
    assert "penicillin" not in str(found)
    assert found["written_by"] is None
    row = await owner.fetchval("select s::text from public.conversation_summaries s")
    assert "penicillin" not in row


async def test_a_summary_that_is_there_already_does_not_bring_old_prose_back(
    start: Start, visit: Visit, addresses: Addresses, owner: Any, database: Database,
    model: tuple[ModelServer, dict[str, Any]],
) -> None:  # fmt: skip
    """No model words the next one, so the prose that was read would be kept."""
    model[0].aside = [Say("They cannot take penicillin.")]
    alice = await visit(await start(**model[1]))
    path = await alice.start("Long")
    await aged(addresses, owner, path, [ALLERGY, *chatter(19)], old=10)
    await alice.send(path, "What is flu?")
    await rested(owner)
    assert "They cannot take" in (await alice.http.get(f"{path}/summary")).json()["text"]
    let = asyncio.Event()
    model[0].aside = [Until(let), Cut()]
    model[0].asides.clear()
    for n in range(4):
        await alice.send(path, f"What is flu? {n}")
    await asked(model[0])
    await let_go(database)
    let.set()
    await rested(owner)
    row = await owner.fetchval("select s::text from public.conversation_summaries s")
    assert "penicillin" not in row
    assert (await alice.http.get(f"{path}/summary")).json()["messages"] == 30


async def test_nothing_goes_while_it_is_read_for_a_summary(
    start: Start, visit: Visit, addresses: Addresses, owner: Any
) -> None:
    """Or what is read first could be of messages that are gone when they are counted."""
    alice = await visit(await start())
    path = await alice.start("Long")
    await fill(addresses, path, chatter(10))
    reading = "lock table public.conversation_summaries in access exclusive mode"
    async with holding(addresses, reading), asyncio.timeout(15):
        await owner.execute("insert into medbot.upkeep (conversation_id) values ($1)", id_of(path))
        await start()
        while await removable(owner, path):
            await asyncio.sleep(0.02)
    await rested(owner)
    assert await removable(owner, path)
    assert (await alice.http.get(f"{path}/summary")).json()["messages"] == 20


async def removable(owner: Any, path: str) -> bool:
    """Whether somebody could remove messages now."""
    try:
        await owner.execute(
            "select 1 from public.conversations where id = $1 for update nowait", id_of(path)
        )
    except asyncpg.LockNotAvailableError:
        return False
    return True


@pytest.mark.parametrize("wording", [[Cut()], [Say("An allergy to penicillin")]])
async def test_a_title_is_not_made_of_a_question_that_went_meanwhile(
    start: Start, visit: Visit, addresses: Addresses, owner: Any, database: Database,
    model: tuple[ModelServer, dict[str, Any]], wording: list[Step],
) -> None:  # fmt: skip
    let = asyncio.Event()
    model[0].aside = [Until(let), *wording]
    alice = await visit(await start(**model[1]))
    path = await alice.start()
    await aged(addresses, owner, path, ["What may I take for pain?"], old=1)
    await alice.send(path, "How long does flu last?")
    await asked(model[0])
    model[0].aside = [Say("How long flu lasts")]
    assert await let_go_slowly(addresses, owner, database, let) == 2
    await rested(owner)
    assert (await alice.http.get(path)).json()["title"] == "How long flu lasts"
