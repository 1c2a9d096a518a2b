"""What is old goes, by whole exchanges; what a dry run counts is what goes."""

import asyncio
import uuid
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import pytest

from conversation_service import retention as kept
from kit.database import Database
from kit.identity import Actor
from kit.testing import Addresses
from privacy import retention
from privacy.retention import Due

ITSELF = Actor.of_service("conversation")
NOW = datetime(2026, 1, 1, tzinfo=UTC)
CLASSES = kept.classes(messages_days=30, feed_days=7, usage_days=90)
COUNTED = "select count(*) from public.messages where conversation_id = $1"


class Shelf:
    """Conversations that are written straight into the database, with the ages they should have."""

    def __init__(self, owner: Any, person: Actor) -> None:
        self.owner = owner
        self.person = person

    async def conversation(self, *ages: int, title: str = "", made: int | None = None) -> uuid.UUID:
        """An exchange for each age in days, as old; made when the first of them was."""
        found: uuid.UUID = await self.owner.fetchval(
            "insert into public.conversations (owner_id, user_id, title, titled_by, last_seq,"
            " created_at) values ($1, $1, $2, $3, $4, $5) returning id",
            self.person.id,
            title,
            "assistant" if title else None,
            2 * len(ages),
            NOW - timedelta(days=made if made is not None else max(ages, default=0)),
        )
        for place, age in enumerate(ages):
            question = await self.message(found, 2 * place + 1, age, "user")
            await self.message(found, 2 * place + 2, age, "assistant", reply_to=question)
        return found

    async def message(
        self, conversation: uuid.UUID, seq: int, age: float, role: str, **more: Any
    ) -> uuid.UUID:
        running = more.get("running", False)
        made: uuid.UUID = await self.owner.fetchval(
            "insert into public.messages (conversation_id, owner_id, seq, role, content, reply_to,"
            " status, lease_until, created_at) values ($1, $2, $3, $4, 'words', $5, $6, $7, $8)"
            " returning id",
            conversation,
            self.person.id,
            seq,
            role,
            more.get("reply_to"),
            "streaming" if running else "complete",
            NOW if running else None,
            NOW - timedelta(days=age),
        )
        return made

    async def call(self, conversation: uuid.UUID, age: float, *, ended: bool = False) -> None:
        await self.owner.execute(
            "insert into medbot.voice_links (session_id, conversation_id, ended, created_at)"
            " values (gen_random_uuid(), $1, $2, $3)",
            conversation,
            ended,
            NOW - timedelta(days=age),
        )


@pytest.fixture
async def shelf(addresses: Addresses, person: Actor) -> AsyncIterator[Shelf]:
    owner = await asyncpg.connect(addresses.owner)
    yield Shelf(owner, person)
    await owner.close()


async def test_exchanges_go_whole_and_empty_conversations_with_them(
    database: Database, shelf: Shelf
) -> None:
    old = await shelf.conversation(40, 35)
    mixed = await shelf.conversation(40, 29)
    young = await shelf.conversation(3)
    waiting = await shelf.conversation(made=2)
    empty = await shelf.conversation(made=50)
    due = await retention.due(database, ITSELF, CLASSES, now=NOW)
    assert {each.name: each.rows for each in due} == {
        "messages": 6, "conversations": 2, "feed": 0, "guests_numbers": 0, "usage": 0,
        "spending": 0,
    }  # fmt: skip
    gone = await retention.apply(database, ITSELF, CLASSES, now=NOW)
    assert gone == {each.name: each.rows for each in due}
    left = {row["id"] for row in await shelf.owner.fetch("select id from public.conversations")}
    assert left == {mixed, young, waiting}
    assert {old, empty} & left == set()
    assert await shelf.owner.fetchval(COUNTED, mixed) == 2
    assert set((await retention.apply(database, ITSELF, CLASSES, now=NOW)).values()) == {0}


async def test_a_conversation_stays_while_somebody_speaks_in_it(
    database: Database, shelf: Shelf
) -> None:
    """What was said there before goes. A call of whose end nothing was heard counts as over."""
    called = [await shelf.conversation(40), await shelf.conversation(made=50)]
    over, lost = await shelf.conversation(40), await shelf.conversation(made=50)
    for conversation in called:
        await shelf.call(conversation, 0)
    await shelf.call(over, 0, ended=True)
    await shelf.call(lost, 31)
    due = await retention.due(database, ITSELF, CLASSES, now=NOW)
    gone = await retention.apply(database, ITSELF, CLASSES, now=NOW)
    assert gone == {each.name: each.rows for each in due}
    assert (gone["messages"], gone["conversations"]) == (4, 2)
    left = {row["id"] for row in await shelf.owner.fetch("select id from public.conversations")}
    assert left == set(called)


async def test_a_question_stays_while_a_reply_to_it_is_young_or_running(
    database: Database, shelf: Shelf
) -> None:
    conversation = await shelf.conversation(made=60)
    question = await shelf.message(conversation, 1, 60, "user")
    await shelf.message(conversation, 2, 60, "assistant", reply_to=question)
    await shelf.message(conversation, 3, 5, "assistant", reply_to=question)
    late = await shelf.message(conversation, 4, 60, "user")
    await shelf.message(conversation, 5, 60, "assistant", reply_to=late, running=True)
    assert sum((await retention.apply(database, ITSELF, CLASSES, now=NOW)).values()) == 0
    assert await shelf.owner.fetchval(COUNTED, conversation) == 5


async def test_what_was_made_of_old_messages_goes_with_them(
    database: Database, shelf: Shelf
) -> None:
    conversation = await shelf.conversation(40, 2, title="Headache since the accident")
    await shelf.owner.execute(
        "insert into public.conversation_summaries (conversation_id, owner_id, through_seq, facts,"
        " prose) values ($1, $2, 4, $3, 'The person has had a headache since an accident.')",
        conversation,
        shelf.person.id,
        '[{"seq": 1, "text": "an accident"}, {"seq": 3, "text": "better now"}]',
    )
    await retention.apply(database, ITSELF, CLASSES, now=NOW)
    summary = await shelf.owner.fetchrow("select prose, facts::text from"
                                         " public.conversation_summaries")  # fmt: skip
    assert summary["prose"] is None
    assert "accident" not in summary["facts"]
    assert "better now" in summary["facts"]
    title = await shelf.owner.fetchrow("select title, titled_by from public.conversations")
    assert tuple(title) == ("", None), "it is made anew of what is left"
    assert await shelf.owner.fetchval("select count(*) from medbot.upkeep") == 1


async def test_a_title_that_a_person_gave_stays(database: Database, shelf: Shelf) -> None:
    await shelf.conversation(40, 2, title="Mine")
    await shelf.owner.execute("update public.conversations set titled_by = 'person'")
    await retention.apply(database, ITSELF, CLASSES, now=NOW)
    assert await shelf.owner.fetchval("select title from public.conversations") == "Mine"


async def test_feed_and_usage_go_by_their_own_ages(
    database: Database, shelf: Shelf, person: Actor
) -> None:
    await shelf.owner.execute(
        "insert into medbot.feed_heads (owner_id, seq) values ($1, 20)", person.id
    )
    for days in range(20):
        await shelf.owner.execute(
            "insert into medbot.feed (owner_id, seq, type, ref, created_at)"
            " values ($1, $2, 'x.y', '{}', $3)",
            person.id,
            20 - days,
            NOW - timedelta(days=days),
        )
    for days in (10, 89, 90, 91, 200):
        await shelf.owner.execute(
            "insert into medbot.usage (day, owner_id, service, provider, model)"
            " values ($1, $2, 's', 'p', 'm')",
            (NOW - timedelta(days=days)).date(),
            person.id,
        )
    due = await retention.due(database, ITSELF, CLASSES, now=NOW)
    gone = await retention.apply(database, ITSELF, CLASSES, now=NOW)
    assert gone == {each.name: each.rows for each in due}
    assert (gone["feed"], gone["usage"]) == (12, 2)


async def test_without_a_setting_everything_stays(database: Database, shelf: Shelf) -> None:
    await shelf.conversation(4000)
    classes = kept.classes(messages_days=None, feed_days=7, usage_days=None)
    due = await retention.due(database, ITSELF, classes, now=NOW)
    assert Due("messages", "RETENTION_MESSAGES_DAYS", None, None, 0) in due
    gone = await retention.apply(database, ITSELF, classes, now=NOW)
    assert gone == {"feed": 0, "guests_numbers": 0}
    assert await shelf.owner.fetchval("select count(*) from public.messages") == 2


async def test_of_many_at_once_one_does_it_and_a_crash_is_made_up_for(
    database: Database, shelf: Shelf
) -> None:
    for _ in range(60):
        await shelf.conversation(40)
    at_it = asyncio.create_task(retention.apply(database, ITSELF, CLASSES, now=NOW))
    while await shelf.owner.fetchval("select count(*) from public.messages") == 120:
        await asyncio.sleep(0.005)
    at_it.cancel()
    await asyncio.gather(at_it, return_exceptions=True)
    left = await shelf.owner.fetchval("select count(*) from public.messages")
    assert 0 < left < 120, "it was cut in the middle"
    done = await asyncio.gather(
        *(retention.apply(database, ITSELF, CLASSES, now=NOW) for _ in range(4))
    )
    assert sum(each["messages"] for each in done) == left
    assert sum(each["conversations"] for each in done) == 60


async def test_a_guests_number_goes_with_their_last_entry_and_a_persons_stays(
    database: Database, shelf: Shelf, person: Actor
) -> None:
    guest, talking, fresh = [uuid.uuid4() for _ in range(3)]
    for owner in (person.id, guest, talking, fresh):
        await shelf.owner.execute("insert into medbot.feed_heads values ($1, 3)", owner)
    await shelf.owner.execute(
        "insert into public.conversations (owner_id, created_at) values ($1, $2)", talking, NOW
    )
    for owner, age in ((guest, 8), (person.id, 8), (fresh, 1)):
        await shelf.owner.execute(
            "insert into medbot.feed (owner_id, seq, type, ref, created_at)"
            " values ($1, 3, 'message.created', '{}', $2)",
            owner,
            NOW - timedelta(days=age),
        )
    gone = await retention.apply(database, ITSELF, CLASSES, now=NOW)
    assert (gone["feed"], gone["guests_numbers"]) == (2, 1)
    left = await shelf.owner.fetch("select owner_id from medbot.feed_heads")
    assert {row["owner_id"] for row in left} == {person.id, talking, fresh}
