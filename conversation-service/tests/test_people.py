"""What the service hands out about a person, and what it erases of them, and of nobody else."""

import asyncio
import gc
import json
import uuid
from typing import Any

import asyncpg
import httpx
import pytest
from conversing import Person

import tokens
from contracts.events import ConversationPersonErased, UserErased, UserRegistered
from conversation_service.privacy import people as kept
from kit import outbox
from kit.database import Database, utc_now
from kit.identity import Actor
from kit.testing import SERVICE_SECRET, Addresses, Served
from privacy.people import PAGE

WORD = "xylophobia"


def token(of: Person, **changes: Any) -> dict[str, str]:
    given = {"caller": "auth", "audience": "conversation", "person": of.actor.id, **changes}
    made = tokens.service_token(SERVICE_SECRET, now=utc_now(), **given)
    return {"authorization": f"Bearer {made}"}


async def export(service: Served, of: Person, **changes: Any) -> httpx.Response:
    async with httpx.AsyncClient(base_url=service.url, timeout=30) as http:
        path = f"/internal/people/{of.actor.id}/export"
        return await http.get(path, headers=token(of, **changes))


async def erase(db: Database, person: Person) -> uuid.UUID:
    """What auth does when somebody wants to be erased: a tombstone and the event."""
    erasure_id = uuid.uuid4()
    assert person.actor.id is not None
    async with db.transaction(Actor.of_service("auth")) as tx:
        await tx.execute("select pg_advisory_xact_lock(medbot.person_lock($1))", person.actor.id)
        await tx.execute(
            "insert into medbot.tombstones (digest, erased_at)"
            " values (medbot.person_digest($1), now()) on conflict do nothing",
            person.actor.id,
        )
        event = UserErased(user_id=person.actor.id, erasure_id=erasure_id)
        await outbox.emit(tx, event, source="auth")
    return erasure_id


async def reports(owner: Any, count: int = 1) -> list[str]:
    """The erasures that the service has reported, waited for."""
    query = (
        "select envelope -> 'data' ->> 'erasure_id' as id from medbot.queue"
        " where envelope ->> 'type' = $1 order by id"
    )
    async with asyncio.timeout(15):
        while len(rows := await owner.fetch(query, ConversationPersonErased.topic)) < count:
            await asyncio.sleep(0.02)
    return [row["id"] for row in rows]


@pytest.fixture
async def owner(addresses: Addresses) -> Any:
    connection = await asyncpg.connect(addresses.owner)
    yield connection
    await connection.close()


async def fill(person: Person) -> str:
    path = await person.start(f"About {WORD}")
    for question in ("What is flu?", f"I have {WORD}"):
        answer = await person.http.post(
            f"{path}/messages",
            json={"content": question},
            headers={"idempotency-key": f"key-of-{question[0]}"},
        )
        assert answer.status_code == 201
    reply = answer.json()["assistant_message"]["id"]
    rated = await person.http.post(
        f"{path}/messages/{reply}/feedback", json={"rating": "down", "comment": f"no {WORD}"}
    )
    assert rated.status_code == 204, rated.text
    return path


async def test_everything_of_the_caller_is_handed_out(
    service: Served, alice: Person, bob: Person
) -> None:
    path = await fill(alice)
    await fill(bob)
    answer = await export(service, alice)
    assert answer.headers["content-type"].startswith("application/x-ndjson")
    *rows, last = [json.loads(line) for line in answer.text.split("\n")[:-1]]
    assert last == {"rows": len(rows)}
    sections: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        sections.setdefault(row["section"], []).append(row["row"])
    assert [row["id"] for row in sections["conversations"]] == [path.rpartition("/")[2]]
    assert [row["seq"] for row in sections["messages"]] == [1, 2, 3, 4]
    assert f"I have {WORD}" in [row["content"] for row in sections["messages"]]
    assert sections["feedback"][0]["comment"] == f"no {WORD}"
    assert len(sections["idempotency_keys"]) == 2
    assert sections["feed"]
    assert str(bob.actor.id) not in answer.text


async def test_whoever_stops_reading_leaves_nothing_running(
    service: Served, alice: Person, owner: Any
) -> None:
    path = await alice.start("Long")
    await owner.execute(
        "insert into public.messages (conversation_id, owner_id, seq, role, content)"
        " select id, owner_id, n, 'user', repeat('x', 4000)"
        " from public.conversations, generate_series(1, 1000) n where id = $1",
        uuid.UUID(path.rpartition("/")[2]),
    )
    complaints: list[str] = []
    asyncio.get_running_loop().set_exception_handler(
        lambda _, context: complaints.append(str(context))
    )
    async with httpx.AsyncClient(base_url=service.url, timeout=30) as http:
        for n in range(8):
            asked = f"/internal/people/{alice.actor.id}/export"
            async with http.stream("GET", asked, headers=token(alice)) as answer:
                reading = answer.aiter_raw()
                for _ in range(n + 1):
                    await anext(reading)
            await asyncio.sleep(0.1)
    gc.collect()
    await asyncio.sleep(0.1)
    assert complaints == []


async def test_pages_follow_each_other_without_a_gap(
    service: Served, alice: Person, owner: Any
) -> None:
    for conversation in range(2):
        path = await alice.start(str(conversation))
        await owner.execute(
            "insert into public.messages (conversation_id, owner_id, seq, role, content)"
            " select $1, $2, n, 'user', $3 || n from generate_series(1, $4) n",
            uuid.UUID(path.rpartition("/")[2]), alice.actor.id, f"{conversation}-", PAGE + 3,
        )  # fmt: skip
    answer = await export(service, alice)
    rows = [json.loads(line) for line in answer.text.split("\n")[:-1]]
    said = [row["row"]["content"] for row in rows if row.get("section") == "messages"]
    wanted = [f"{c}-{n}" for c in range(2) for n in range(1, PAGE + 4)]
    assert sorted(said) == sorted(wanted)


@pytest.mark.parametrize(
    "changes",
    [{"caller": "voice"}, {"person": uuid.uuid4()}, {"person": None}, {"audience": "auth"}],
)
async def test_only_auth_may_ask_and_only_for_the_person_it_names(
    service: Served, alice: Person, changes: dict[str, Any]
) -> None:
    await fill(alice)
    refused = await export(service, alice, **changes)
    assert refused.status_code in {401, 404}
    assert WORD not in refused.text
    own = await alice.http.get(f"/internal/people/{alice.actor.id}/export")
    assert own.status_code == 401


async def test_an_erasure_takes_everything_of_one_person(
    service: Served, alice: Person, bob: Person, database: Database, owner: Any
) -> None:
    await fill(alice)
    await fill(bob)
    erasure_id = await erase(database, alice)
    assert await reports(owner) == [str(erasure_id)]
    for section in kept.SECTIONS:
        query = f"select count(*) from {section.source} where {section.owner} = $1"
        assert await owner.fetchval(query, alice.actor.id) == 0, section.name
    left = await export(service, bob)
    assert len([line for line in left.text.split("\n") if WORD in line]) >= 3
    answers = [
        await alice.http.post("/api/v1/conversations", json={"title": WORD}),
        await alice.http.post(
            "/api/v1/conversations", json={}, headers={"idempotency-key": "again"}
        ),
    ]
    assert {answer.status_code for answer in answers} == {401}


async def test_a_late_event_about_the_person_brings_nothing_back(
    service: Served, alice: Person, database: Database, owner: Any
) -> None:
    erasure_id = await erase(database, alice)
    await reports(owner)
    assert alice.actor.id is not None
    async with database.transaction(Actor.of_service("auth")) as tx:
        await outbox.emit(tx, UserRegistered(user_id=alice.actor.id), source="auth")
        event = UserErased(user_id=alice.actor.id, erasure_id=erasure_id)
        await outbox.emit(tx, event, source="auth")
    assert await reports(owner, 2) == [str(erasure_id)] * 2
    assert await owner.fetchval("select count(*) from medbot.feed_heads") == 0
    assert await owner.fetchval("select count(*) from medbot.dead_letters") == 0


async def test_what_models_took_stays_in_the_sums_without_the_person(
    service: Served, alice: Person, bob: Person, database: Database, owner: Any
) -> None:
    for person in (alice, bob):
        await owner.execute(
            "insert into medbot.usage (day, owner_id, user_id, service, provider, model, calls,"
            " prompt_tokens, completion_tokens, micro_usd) values"
            " (current_date, $1, $1, 'conversation', 'openai', 'm', 2, 30, 4, 500)",
            person.actor.id,
        )
    for count, person in enumerate((alice, bob), 1):
        await erase(database, person)
        await reports(owner, count)
    rows = await owner.fetch("select * from medbot.usage")
    assert [(row["calls"], row["prompt_tokens"], row["micro_usd"]) for row in rows] == [
        (4, 60, 1000)
    ]
    assert (rows[0]["owner_id"], rows[0]["user_id"]) == (uuid.UUID(int=0), None)
