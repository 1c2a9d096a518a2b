"""One conversation: turns become its messages, once and in order; what goes there goes here."""

import asyncio
import json
import uuid
from collections.abc import Awaitable, Callable
from typing import Any

import asyncpg
import pytest
from conversing import Person, Start, Visit
from speaking import SESSION, job

from contracts.events import GuestJoined, UserErased
from contracts.voice import Changes
from conversation_service.voice import actions as spoken
from conversation_service.voice.client import open_voice_sessions
from kit import outbox
from kit.database import Database, utc_now
from kit.identity import Actor
from kit.testing import SERVICE_SECRET, Addresses, Issuer, Served, make_person

CITATION = {
    "marker": 1, "document_id": "flu", "title": "Flu", "source": "NHS",
    "url": "https://www.nhs.uk/conditions/flu/", "passage": "Flu is caught.", "score": 0.5,
}  # fmt: skip
TRIAGE = {"level": "urgent", "rules": [], "message": "See somebody today.", "resources": []}


async def make(person: Person, **body: Any) -> dict[str, Any]:
    answer = await person.http.post(SESSION, json=body)
    assert answer.status_code == 201, answer.text
    made: dict[str, Any] = answer.json()
    return made


async def until(check: Callable[[], Awaitable[bool]], within: float = 15) -> None:
    async with asyncio.timeout(within):
        while not await check():
            await asyncio.sleep(0.05)


async def messages(person: Person, path: str, count: int) -> list[dict[str, Any]]:
    async def there() -> bool:
        return len(await person.messages(path)) >= count

    await until(there)
    return await person.messages(path)


def path_of(made: dict[str, Any]) -> str:
    return f"/api/v1/conversations/{made['conversation_id']}"


async def test_turns_become_messages_with_all_that_is_known_of_them(
    alice: Person, service: Served, writing: Person
) -> None:
    made = await make(alice)
    async with job(service, made["session_id"]) as running:
        await running.say("user", "Is flu catching?", triage=TRIAGE)
        await running.say(
            "assistant",
            "Yes, it",
            interrupted=True,
            citations=[CITATION],
            latency={"first_text_ms": 12.5, "first_audio_ms": 80},
        )
    asked, answered = await messages(writing, path_of(made), 2)
    assert (asked["role"], asked["channel"], asked["status"]) == ("user", "websocket", "complete")
    assert asked["triage"]["level"] == "urgent"
    assert (answered["content"], answered["status"]) == ("Yes, it", "interrupted")
    assert answered["citations"] == [CITATION]
    assert answered["latency"]["first_audio_ms"] == 80
    assert answered["latency"]["first_text_ms"] == 12.5


async def test_words_are_kept_when_what_goes_with_them_has_no_known_shape(
    alice: Person, service: Served, writing: Person
) -> None:
    made = await make(alice)
    async with job(service, made["session_id"]) as running:
        await running.say("assistant", "Hello", citations=[{"a": 1}], triage={"level": "purple"})
    (said,) = await messages(writing, path_of(made), 1)
    assert (said["content"], said["citations"], said["triage"]) == ("Hello", [], None)


async def test_what_was_said_stands_before_what_is_written_next(
    alice: Person, service: Served, writing: Person
) -> None:
    path = await writing.start()
    made = await make(alice, conversation_id=path.rpartition("/")[2])
    said: list[str] = []
    async with job(service, made["session_id"]) as running:
        for number in range(8):
            await running.say("user", f"aloud {number}")
            await writing.send(path, "What is flu?")
            said += [f"aloud {number}", "What is flu?"]
    found = [m["content"] for m in await writing.messages(path) if m["role"] == "user"]
    assert found == said


async def test_turns_recorded_while_the_conversation_service_is_away_come_in_order(
    alice: Person, service: Served, writing: Person, database: Database
) -> None:
    made = await make(alice)
    count = 120
    async with job(service, made["session_id"]) as running:
        for number in range(count):
            answer = await running.say("user", f"turn {number}")
            assert answer.status_code == 204
    path = path_of(made)

    async def whole() -> bool:
        page = (await writing.http.get(f"{path}/messages", params={"order": "desc"})).json()
        return bool(page["items"]) and page["items"][0]["content"] == f"turn {count - 1}"

    await until(whole, within=30)
    async with database.transaction(Actor.of_service("conversation")) as tx:
        rows = await tx.fetch("select content, voice_seq from public.messages order by seq")
    assert [row["content"] for row in rows] == [f"turn {n}" for n in range(count)]
    assert [row["voice_seq"] for row in rows] == list(range(1, count + 1))


async def test_turns_come_when_the_voice_service_is_back(
    start: Start, visit: Visit, conversations: Served, voice_port: int, addresses: Addresses
) -> None:
    first = await start(port=0)  # where nobody looks for it
    alice = await visit(first)
    made = await make(alice)
    async with job(first, made["session_id"]) as running:
        await running.say("user", "Are you there?")
    writing = await visit(conversations, alice.actor)
    await asyncio.sleep(0.5)
    assert await writing.messages(path_of(made)) == []
    await writing.send(path_of(made), "What is flu?")  # not held up
    await start()
    found = await messages(writing, path_of(made), 3)
    assert [m["content"] for m in found if m["role"] == "user"] == [
        "What is flu?",
        "Are you there?",
    ]


async def test_the_feed_tells_of_a_session(alice: Person, service: Served, writing: Person) -> None:
    made = await make(alice)
    async with job(service, made["session_id"]) as running:
        await running.beat()
        await running.say("user", "Hello")
        await running.beat(ended="caller_left")
    await messages(writing, path_of(made), 1)
    seen: list[Any] = []
    async with (
        asyncio.timeout(15),
        writing.stream("GET", "/api/v1/events", headers={"last-event-id": "0"}) as events,
    ):
        async for event in events:
            seen.append((event.event, event.json()["ref"]))
            if event.event == "voice.session.ended":
                break
    assert [name for name, _ in seen if name != "conversation.changed"] == [
        "voice.session.started",
        "message.created",
        "voice.session.ended",
    ]
    assert {ref["conversation_id"] for _, ref in seen} == {made["conversation_id"]}
    assert seen[0][1]["session_id"] == made["session_id"]


async def test_a_deleted_conversation_ends_its_sessions_and_takes_their_words(
    alice: Person, service: Served, writing: Person, addresses: Addresses
) -> None:
    made = await make(alice, metadata={"note": "canary words"}, instructions="canary words")
    over = await make(alice, conversation_id=made["conversation_id"])
    await alice.http.delete(f"{SESSION}/{over['session_id']}")
    async with job(service, made["session_id"]) as running:
        await running.beat()
        await running.say("user", "canary words")
        waiting = asyncio.create_task(running.changes((await running.plan()).cursor, within=20))
        await messages(writing, path_of(made), 1)
        assert (await writing.http.delete(path_of(made))).status_code == 204
        async with asyncio.timeout(10):
            told = await waiting
            while told.end is None:
                told = await running.changes(told.cursor, within=20)
        assert told.end == "conversation_deleted"
        assert (await running.say("assistant", "canary words")).status_code == 404
    for one in (made, over):
        assert (await alice.http.get(f"{SESSION}/{one['session_id']}")).status_code == 404
    assert (await alice.http.get("/api/v1/voice/sessions")).json()["items"] == []
    assert "canary" not in await dump(addresses)


async def test_a_session_whose_conversation_is_just_gone_is_there_until_it_is_ended(
    alice: Person, service: Served, writing: Person, addresses: Addresses
) -> None:
    made = await make(alice)
    async with job(service, made["session_id"]) as running:
        await running.beat()
        before = (await running.plan()).cursor
        await writing.send(path_of(made), "Is flu catching?")
        assert (await running.changes(before, within=10)).messages
        connection = await asyncpg.connect(addresses.owner)
        try:
            await connection.execute(
                "delete from public.conversations where id = $1", made["conversation_id"]
            )
        finally:
            await connection.close()
        assert await running.changes(before, within=0) == Changes(cursor=before)


async def test_keys_of_its_sessions_go_with_a_deleted_conversation(
    alice: Person, service: Served, writing: Person
) -> None:
    key = {"Idempotency-Key": "again"}
    made = (await alice.http.post(SESSION, json={}, headers=key)).json()
    assert (await writing.http.delete(path_of(made))).status_code == 204

    async def gone() -> bool:
        found = await alice.http.get(f"{SESSION}/{made['session_id']}")
        return found.status_code == 404

    await until(gone)
    again = await alice.http.post(SESSION, json={}, headers=key)
    assert again.status_code == 201, again.text
    assert again.json()["session_id"] != made["session_id"]


async def dump(addresses: Addresses) -> str:
    """Every row of every table of ours, as text."""
    connection = await asyncpg.connect(addresses.owner)
    try:
        tables = await connection.fetch(
            "select format('%I.%I', schemaname, tablename) as name from pg_tables"
            " where schemaname in ('public', 'medbot')"
        )
        rows = [await connection.fetch(f"select t::text from {t['name']} t") for t in tables]
    finally:
        await connection.close()
    return json.dumps([[row[0] for row in table] for table in rows])


async def test_an_erased_person_leaves_nothing(
    alice: Person, bob: Person, service: Served, database: Database, addresses: Addresses
) -> None:
    made, others = await make(alice), await make(bob)
    async with job(service, made["session_id"]) as running:
        await running.say("user", "canary words")
    assert alice.actor.id is not None
    erasure = uuid.uuid4()
    async with database.transaction(Actor.of_service("auth")) as tx:
        event = UserErased(user_id=alice.actor.id, erasure_id=erasure)
        await outbox.emit(tx, event, source="auth-service")

    async def said() -> bool:
        async with database.transaction(Actor.of_service("auth")) as tx:
            row = await tx.fetchval(
                "select count(*) from (select envelope from medbot.outbox union all"
                " select envelope from medbot.queue) e"
                " where envelope ->> 'type' = 'medbot.voice.person.erased.v1'"
                " and envelope -> 'data' ->> 'erasure_id' = $1",
                str(erasure),
            )
        return bool(row)

    await until(said)
    assert (await alice.http.get(f"{SESSION}/{made['session_id']}")).status_code == 404
    assert (await bob.http.get(f"{SESSION}/{others['session_id']}")).status_code == 200
    async with job(service, made["session_id"]) as running:
        assert (await running.say("user", "canary words", 2)).status_code == 404


@pytest.fixture
def guest() -> Actor:
    return Actor(uuid.uuid4(), "guest", session_id=uuid.uuid4())


def _guest_token(issuer: Issuer, guest: Actor) -> str:
    class Anonymous(Issuer):
        """Signs with the same key, and says that there is no account."""

        def sign(self, claims: dict[str, Any], **headers: Any) -> str:
            return issuer.sign({**claims, "is_anonymous": True}, **headers)

    return Anonymous().token(guest)


async def test_guests_speak_where_they_may_and_join_later(
    start: Start, visit: Visit, issuer: Issuer, guest: Actor, addresses: Addresses,
    database: Database,
) -> None:  # fmt: skip
    closed, opened = await start(port=0), await start(allow_guest_voice=True)
    headers = {"authorization": f"Bearer {_guest_token(issuer, guest)}"}
    for served, status in ((closed, 403), (opened, 201)):
        person = await visit(served, guest)
        person.http.headers.update(headers)
        answer = await person.http.post(SESSION, json={})
        assert answer.status_code == status, answer.text
    made = answer.json()
    async with database.transaction(Actor.of_service("conversation")) as tx:
        row = await tx.fetchrow("select owner_id, user_id from public.conversations")
    assert row is not None
    assert (row["owner_id"], row["user_id"]) == (guest.id, None)
    someone = await make_person(addresses)
    assert guest.id is not None
    assert someone.id is not None
    async with database.transaction(Actor.of_service("auth")) as tx:
        joined = GuestJoined(guest_id=guest.id, user_id=someone.id)
        await outbox.emit(tx, joined, source="auth-service")
    now = await visit(opened, someone)

    async def theirs() -> bool:
        return (await now.http.get(f"{SESSION}/{made['session_id']}")).is_success

    await until(theirs)
    assert (await person.http.get(f"{SESSION}/{made['session_id']}")).status_code == 404


async def test_turns_whose_events_were_lost_are_found_all_the_same(
    alice: Person, service: Served, writing: Person, database: Database, addresses: Addresses
) -> None:
    made = await make(alice)
    connection = await asyncpg.connect(addresses.owner)
    try:
        await connection.execute(
            "create function medbot.lose() returns trigger language plpgsql"
            " as 'begin return null; end'"
        )
        await connection.execute(
            "create trigger lost before insert on medbot.outbox"
            " for each row execute function medbot.lose()"
        )
        async with job(service, made["session_id"]) as running:
            assert (await running.say("user", "Hello?")).status_code == 204
            await running.beat(ended="caller_left")
        await connection.execute("drop trigger lost on medbot.outbox")
        await connection.execute(
            "update medbot.voice_links set created_at = created_at - interval '2 minutes'"
        )
    finally:
        await connection.close()
    async with open_voice_sessions(service.url, SERVICE_SECRET, utc_now) as voice:
        for _ in range(2):
            await spoken.sweep(database, voice)
    (said,) = await writing.messages(path_of(made))
    assert said["content"] == "Hello?"
    async with database.transaction(Actor.of_service("conversation")) as tx:
        assert await tx.fetchval("select ended from medbot.voice_links") is True
