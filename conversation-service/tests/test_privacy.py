"""Nobody reaches another's things, by any call or by the database itself; no word leaks."""

import asyncio
import json
import uuid

import asyncpg
import httpx
import pytest
from conversing import Person

from conversation_service import main
from kit.database import Database, without_hints
from kit.testing import Addresses, Issuer, Served
from tokens.guards import unguarded

ROOT = "/api/v1/conversations"
CANARY = "xylophobia of the left earlobe"


async def test_a_second_person_can_do_nothing_with_the_first_ones_things(
    alice: Person, bob: Person
) -> None:
    path = await alice.start("Private")
    reply = (await alice.send(path, "What is flu?")).json()["assistant_message"]
    message = f"{path}/messages/{reply['id']}"
    own = await bob.start()
    for method, target, body in (
        ("GET", path, None),
        ("PATCH", path, {"title": "mine"}),
        ("DELETE", path, None),
        ("GET", f"{path}/messages", None),
        ("POST", f"{path}/messages", {"content": "hello"}),
        ("GET", f"{message}/stream", None),
        ("POST", f"{message}/stop", None),
        ("POST", f"{message}/regenerate", None),
        ("POST", f"{message}/feedback", {"rating": "up"}),
        ("GET", f"{path}/summary", None),
        ("GET", f"{path}/handoff", None),
        ("GET", f"{own}/messages/{reply['id']}/stream", None),
    ):
        answer = await bob.http.request(method, target, json=body)
        assert (answer.status_code, answer.json()["code"]) == (404, "request.not_found"), target
    assert [i["id"] for i in (await bob.http.get(ROOT)).json()["items"]] == [own.rpartition("/")[2]]
    assert (await bob.http.get(ROOT, params={"q": "flu"})).json()["items"] == []
    assert (await alice.http.get(path)).json()["title"] == "Private"
    assert len(await alice.messages(path)) == 2


async def test_an_idempotency_key_is_ones_own(alice: Person, bob: Person) -> None:
    headers = {"idempotency-key": "the-same"}
    one = await alice.http.post(ROOT, json={}, headers=headers)
    two = await bob.http.post(ROOT, json={}, headers=headers)
    assert one.json()["id"] != two.json()["id"]


async def test_the_service_login_with_anothers_claims_sees_nothing(
    alice: Person, bob: Person, addresses: Addresses
) -> None:
    await alice.send(await alice.start(), "What is flu?")
    connection = await asyncpg.connect(without_hints(addresses.service))
    try:
        for claims, expected in ((alice.actor.claims(), 2), (bob.actor.claims(), 0), ("", 0)):
            async with connection.transaction():
                await connection.execute(
                    "select set_config('role', 'medbot_app', true),"
                    " set_config('request.jwt.claims', $1, true)",
                    claims,
                )
                found = await connection.fetchval("select count(*) from public.messages")
                assert found == expected
                changed = await connection.execute("update public.messages set content = 'forged'")
                assert changed == f"UPDATE {expected}"
    finally:
        await connection.close()


async def test_a_browsers_own_role_reads_its_rows_and_writes_none(
    alice: Person, bob: Person, addresses: Addresses
) -> None:
    await alice.send(await alice.start(), "What is flu?")
    connection = await asyncpg.connect(addresses.owner)
    try:
        for person, expected in ((alice, 2), (bob, 0)):
            async with connection.transaction():
                await _as_browser(connection, person.actor.claims())
                rows = await connection.fetch("select id, content, triage from public.messages")
                assert len(rows) == expected
        for statement in (
            "insert into public.messages (conversation_id, owner_id, seq, role)"
            " select id, owner_id, 99, 'assistant' from public.conversations",
            "update public.messages set content = 'forged'",
            "delete from public.messages",
            "update public.conversations set title = 'forged'",
            "delete from public.conversations",
            "insert into public.conversations (owner_id) values (auth.uid())",
            "select * from medbot.outbox",
            "select * from medbot.reply_parts",
            "select * from medbot.feed",
            "select * from medbot.upkeep",
            "insert into public.message_feedback (message_id, conversation_id, owner_id, rating)"
            " select id, conversation_id, owner_id, 'up' from public.messages",
            "delete from public.message_feedback",
            "update public.conversation_summaries set prose = 'forged'",
            "delete from public.conversation_summaries",
        ):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                async with connection.transaction():
                    await _as_browser(connection, alice.actor.claims())
                    await connection.execute(statement)
    finally:
        await connection.close()


async def test_feedback_and_summaries_are_seen_by_their_owner_alone(
    alice: Person, bob: Person, addresses: Addresses, database: Database
) -> None:
    path = await alice.start("Long")
    both = [(await alice.send(path, "My knee hurts. What is flu?")).json() for _ in range(9)]
    reply = both[-1]["assistant_message"]["id"]
    await alice.http.post(f"{path}/messages/{reply}/feedback", json={"rating": "up"})
    async with asyncio.timeout(10):
        while not (await alice.http.get(f"{path}/summary")).json()["facts"]:
            await asyncio.sleep(0.05)
    connection = await asyncpg.connect(addresses.owner)
    try:
        for table in ("public.message_feedback", "public.conversation_summaries"):
            for person, expected in ((alice, 1), (bob, 0)):
                count = f"select count(*) from {table}"
                async with database.transaction(person.actor) as tx:
                    assert await tx.fetchval(count) == expected
                async with connection.transaction():
                    await _as_browser(connection, person.actor.claims())
                    assert await connection.fetchval(count) == expected
    finally:
        await connection.close()


async def test_every_route_is_guarded_or_listed_as_public(service: Served) -> None:
    assert list(unguarded(main.build())) == []


async def test_what_patients_write_is_in_no_log_and_no_error(
    capfd: pytest.CaptureFixture[str], alice: Person
) -> None:
    path = await alice.start(CANARY)
    answers = [
        await alice.send(path, f"I have {CANARY}"),
        await alice.http.get(ROOT, params={"q": CANARY}),
        await alice.http.get(f"{path}/messages", params={"cursor": CANARY}),
        await alice.http.post(f"{path}/messages", json={"content": [CANARY]}),
        await alice.http.post(f"{path}/messages", content=f'{{"content": "{CANARY}'),
        await alice.http.get(f"{ROOT}/{CANARY}"),
        await alice.http.get(ROOT, params={"q": CANARY, "cursor": CANARY}),
        await alice.http.post(f"{path}/messages/{CANARY}/feedback", json={"rating": CANARY}),
        await alice.http.get("/api/v1/library/search", params={"q": CANARY, "k": CANARY}),
        await alice.http.get(f"/api/v1/library/documents/{CANARY}"),
    ]
    for answer in answers[2:]:
        assert answer.status_code in {404, 422}
        assert CANARY not in json.dumps(answer.json())
    out, err = capfd.readouterr()
    assert "request.done" in err
    assert "xylophobia" not in out + err
    assert "earlobe" not in out + err


async def test_events_and_feed_hold_ids_alone(alice: Person, addresses: Addresses) -> None:
    await alice.send(await alice.start(CANARY), f"I have {CANARY}")
    connection = await asyncpg.connect(addresses.owner)
    try:
        for query in (
            "select envelope::text from medbot.outbox",
            "select envelope::text from medbot.queue",
            "select ref::text from medbot.feed",
            "select made::text || encode(digest, 'escape') from medbot.idempotency_keys",
        ):
            for row in await connection.fetch(query):
                assert "xylophobia" not in row[0]
    finally:
        await connection.close()


@pytest.mark.parametrize("kind", ["none", "expired", "wrong audience", "other key", "service"])
async def test_a_bad_token_is_401(
    service: Served, alice: Person, issuer: Issuer, kind: str
) -> None:
    stranger = Issuer()
    claims = {"sub": str(uuid.uuid4()), "aud": "authenticated", "exp": 4_000_000_000}
    token = {
        "none": "",
        "expired": issuer.token(alice.actor, expires_in=-1),
        "wrong audience": issuer.sign({**claims, "aud": "conversation"}),
        "other key": stranger.sign(claims),
        "service": issuer.sign(claims, typ="service+jwt"),
    }[kind]
    async with httpx.AsyncClient(base_url=service.url) as stranger_http:
        headers = {"authorization": f"Bearer {token}"} if token else {}
        answer = await stranger_http.get(ROOT, headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (401, "auth.invalid_token")


async def _as_browser(connection: "asyncpg.Connection[asyncpg.Record]", claims: str) -> None:
    await connection.execute("set local role authenticated")
    await connection.execute("select set_config('request.jwt.claims', $1, true)", claims)
