"""Erasing oneself: access ends at once, the rest when every service has reported; the receipt."""

import asyncio
import hashlib
import json
from typing import Any
from uuid import UUID, uuid4

import jwt
import pytest

from auth_service.erasure import worker
from auth_service.testing import Auth, Member, bearer
from contracts.events import HOLDERS, UserErased, UserRegistered
from kit import outbox
from kit.database import Database
from kit.identity import Actor, Role
from kit.testing import FixedClock

ME = "/api/v1/auth/me"


async def erase(auth: Auth, member: Member) -> str:
    answer = await auth.http.delete(ME, headers=bearer(member.access))
    assert answer.status_code == 202, answer.text
    assert answer.json().keys() == {"erasure_id"}
    return str(answer.json()["erasure_id"])


async def follow(auth: Auth, erasure_id: str) -> dict[str, Any]:
    answer = await auth.get(f"/api/v1/auth/erasures/{erasure_id}")
    assert answer.status_code == 200, answer.text
    body: dict[str, Any] = answer.json()
    return body


async def report(db: Database, erasure_id: str, *services: str) -> None:
    """What the holders say, as they say it."""
    for name in services or HOLDERS:
        async with db.transaction(Actor.of_service(name)) as tx:
            event = HOLDERS[name].model_validate({"erasure_id": erasure_id})
            await outbox.emit(tx, event, source=name)


async def completed(auth: Auth, erasure_id: str) -> dict[str, Any]:
    async with asyncio.timeout(15):
        while (found := await follow(auth, erasure_id))["status"] != "complete":
            await asyncio.sleep(0.02)
    return found


async def test_access_ends_at_once_and_everywhere(auth: Auth, second: Auth, alice: Member) -> None:
    other = (await auth.login(alice.email)).json()["session"]
    await second.get(ME, alice.access)
    await erase(auth, alice)
    for token in (alice.access, other["access_token"]):
        assert (await auth.get(ME, token)).status_code == 401
    for token in (alice.refresh, other["refresh_token"]):
        assert (await auth.refresh(token)).json()["code"] == "auth.invalid_token"
    assert (await auth.login(alice.email)).json()["code"] == "auth.bad_credentials"
    async with asyncio.timeout(5):
        while second.context.verifier.cached(alice.access) is not None:
            await asyncio.sleep(0.05)
    assert (await second.get("/api/v1/profile", alice.access)).status_code == 401


async def test_an_instance_that_has_not_heard_of_it_exports_nothing(
    auth: Auth, second: Auth, alice: Member
) -> None:
    await erase(auth, alice)
    answer = await second.get(f"{ME}/export", alice.access)
    assert (answer.status_code, answer.json()["code"]) == (401, "auth.invalid_token")


async def test_what_auth_keeps_goes_in_the_same_transaction(
    auth: Auth, alice: Member, bob: Member, owner: Any
) -> None:
    await auth.put("/api/v1/profile", alice.access, {"consents": {"research": True}})
    await erase(auth, alice)
    for table in ("public.user_profiles", "public.user_roles", "public.user_consents"):
        rows = await owner.fetch(f"select 1 from {table} where user_id = $1", alice.id)
        assert (table, rows) == (table, [])
    for table in ("credentials", "sessions"):
        left = await owner.fetch(f"select user_id from medbot.{table}")
        assert {row["user_id"] for row in left} == {bob.id}
    assert await owner.fetchval("select email from auth.users where id = $1", alice.id) is None
    assert (await auth.get(ME, bob.access)).status_code == 200


async def test_it_is_complete_when_every_service_has_reported(
    auth: Auth, alice: Member, database: Database, owner: Any, clock: FixedClock
) -> None:
    erasure_id = await erase(auth, alice)
    waiting = await follow(auth, erasure_id)
    assert (waiting["status"], waiting["receipt"]) == ("pending", None)
    states = {part["service"]: part["state"] for part in waiting["services"]}
    assert states == {"auth": "erased"} | dict.fromkeys(HOLDERS, "pending")
    clock.advance(minutes=1)
    await report(database, erasure_id)
    done = await completed(auth, erasure_id)
    assert {part["state"] for part in done["services"]} == {"erased"}
    assert done["completed_at"] == "2030-01-01T12:01:00Z"
    assert await owner.fetchval("select count(*) from auth.users") == 0
    assert await owner.fetchval("select person_id from medbot.erasures") is None
    await report(database, erasure_id)
    await asyncio.sleep(0.3)
    assert await follow(auth, erasure_id) == done


async def test_the_receipt_checks_with_the_public_key_and_is_no_token(
    auth: Auth, alice: Member, database: Database
) -> None:
    erasure_id = await erase(auth, alice)
    await report(database, erasure_id)
    receipt = (await completed(auth, erasure_id))["receipt"]
    key = jwt.PyJWK.from_dict((await auth.get("/.well-known/jwks.json")).json()["keys"][0])
    whole = jwt.decode_complete(receipt, key, algorithms=["ES256"], options={"verify_iat": False})
    claims = whole["payload"]
    assert whole["header"]["typ"] == "erasure-receipt+jwt"
    assert claims["jti"] == erasure_id
    told = claims["erasure"]
    assert told["person_sha256"] == hashlib.sha256(alice.id.bytes).hexdigest()
    assert told["services"].keys() == {"auth", *HOLDERS}
    for secret in (str(alice.id), alice.email, "Alice"):
        assert secret not in json.dumps(claims)
    head, body, signature = receipt.split(".")
    with pytest.raises(jwt.InvalidSignatureError):
        jwt.decode(f"{head}.{body[:-2]}AA.{signature}", key, algorithms=["ES256"])
    for path in (ME, "/api/v1/profile"):
        assert (await auth.get(path, receipt)).status_code == 401
    assert (await auth.http.delete(ME, headers=bearer(receipt))).status_code == 401


async def test_sent_again_it_answers_the_same_on_every_instance(
    auth: Auth, second: Auth, alice: Member, database: Database, owner: Any
) -> None:
    ids = await asyncio.gather(*(erase(each, alice) for each in (auth, second, auth, second)))
    assert len(set(ids)) == 1
    events = await owner.fetch(
        "select envelope ->> 'id' from medbot.queue where envelope ->> 'type' = $1"
        " union select envelope ->> 'id' from medbot.outbox where topic = $1", UserErased.topic,
    )  # fmt: skip
    assert len(events) == 1
    await report(database, ids[0])
    await completed(auth, ids[0])
    assert await erase(auth, alice) == ids[0]


async def test_a_session_that_was_signed_out_erases_nothing(
    auth: Auth, second: Auth, alice: Member
) -> None:
    await auth.post("/logout", alice.access)
    for instance in (auth, second):  # the second has not heard of it yet
        answer = await instance.http.delete(ME, headers=bearer(alice.access))
        assert (answer.status_code, answer.json()["code"]) == (401, "auth.invalid_token")
    assert (await auth.login(alice.email)).status_code == 200


async def test_the_address_is_free_for_a_new_person(
    auth: Auth, alice: Member, database: Database
) -> None:
    erasure_id = await erase(auth, alice)
    again = await auth.register(alice.email)
    assert again.id != alice.id
    await report(database, erasure_id)
    await completed(auth, erasure_id)
    assert (await auth.get(ME, again.access)).json()["email"] == alice.email


async def test_an_id_that_nobody_was_given_is_not_found(auth: Auth) -> None:
    answer = await auth.get(f"/api/v1/auth/erasures/{uuid4()}")
    assert (answer.status_code, answer.json()["code"]) == (404, "request.not_found")


async def test_nothing_comes_back_by_a_late_write(
    auth: Auth, second: Auth, alice: Member, owner: Any
) -> None:
    admin = await auth.admin()
    await second.get(ME, alice.access)  # it knows the token, and of no end yet
    await erase(auth, alice)
    writes = [
        await second.put("/api/v1/profile", alice.access, {"full_name": "Alice again"}),
        await second.get("/api/v1/auth/me/export", alice.access),
        await second.login(alice.email),
        await second.refresh(alice.refresh),
        await second.put(
            f"/api/v1/auth/users/{alice.id}/roles", admin.access, {"roles": [Role.PATIENT]}
        ),
    ]
    assert {answer.status_code for answer in writes} <= {401, 404, 429}
    for table, column in (
        ("public.user_profiles", "user_id"), ("public.user_roles", "user_id"),
        ("medbot.sessions", "user_id"), ("medbot.exports", "person_id"),
    ):  # fmt: skip
        assert not await owner.fetch(f"select 1 from {table} where {column} = $1", alice.id), table


async def test_an_erasure_waits_for_a_write_that_has_begun(
    auth: Auth, alice: Member, database: Database, owner: Any
) -> None:
    person = Actor.of_person(alice.id)
    async with database.transaction(person) as tx:
        await tx.execute(
            "insert into medbot.idempotency_keys (owner_id, key, digest, made)"
            " values ($1, 'k', '', '{}')", alice.id,
        )  # fmt: skip
        erasing = asyncio.create_task(erase(auth, alice))
        done, _ = await asyncio.wait([erasing], timeout=0.5)
        assert not done
    await erasing
    assert await owner.fetchval("select count(*) from medbot.idempotency_keys") == 0
    async with database.transaction(person) as tx:
        await tx.execute(
            "insert into medbot.idempotency_keys (owner_id, key, digest, made)"
            " values ($1, 'k', '', '{}')", alice.id,
        )  # fmt: skip
    assert await owner.fetchval("select count(*) from medbot.idempotency_keys") == 0


async def test_events_about_the_person_go_wherever_they_lie(
    auth: Auth, alice: Member, bob: Member, database: Database, owner: Any
) -> None:
    for table, more, values in (
        ("queue", "", ""), ("dead_letters", ", attempts, error", ", 6, 'X'"),
    ):  # fmt: skip
        for member in (alice, bob):
            event = UserRegistered(user_id=member.id)
            await owner.execute(
                f"insert into medbot.{table} (queue, event_id, envelope{more})"
                f" values ('other', $1, $2{values})",
                uuid4(), json.dumps({"data": event.model_dump(mode="json")}),
            )  # fmt: skip
    erasure_id = await erase(auth, alice)
    await report(database, erasure_id)
    await completed(auth, erasure_id)
    for table in ("outbox", "queue", "dead_letters"):
        rows = await owner.fetch(f"select envelope::text as text from medbot.{table}")
        assert not [row for row in rows if str(alice.id) in row["text"]], table
        assert table == "outbox" or [row for row in rows if str(bob.id) in row["text"]]


async def test_a_service_that_does_not_report_is_told_again(
    auth: Auth, alice: Member, database: Database, owner: Any, clock: FixedClock
) -> None:
    erasure_id = await erase(auth, alice)
    async with asyncio.timeout(10):
        while not await owner.fetchval("select count(*) from medbot.queue"):
            await asyncio.sleep(0.02)
    await owner.execute("delete from medbot.queue")
    db = auth.context.db
    assert await worker.look(db, auth.context.directory, auth.context.signer, clock) == 0
    clock.advance(minutes=11)
    assert await worker.look(db, auth.context.directory, auth.context.signer, clock) == 1
    assert await worker.look(db, auth.context.directory, auth.context.signer, clock) == 0
    async with asyncio.timeout(10):
        while not await owner.fetchval("select count(*) from medbot.queue"):
            await asyncio.sleep(0.02)
    queued = await owner.fetchval("select envelope -> 'data' from medbot.queue limit 1")
    assert UserErased.model_validate_json(queued) == UserErased(
        user_id=alice.id, erasure_id=UUID(erasure_id)
    )
    await report(database, erasure_id)
    await completed(auth, erasure_id)
    clock.advance(minutes=11)
    assert await worker.look(db, auth.context.directory, auth.context.signer, clock) == 0


async def test_a_word_about_an_erasure_that_is_not_there_changes_nothing(
    auth: Auth, database: Database, owner: Any
) -> None:
    await report(database, str(uuid4()))
    async with asyncio.timeout(10):
        while not await owner.fetchval("select count(*) from medbot.inbox where queue = 'auth'"):
            await asyncio.sleep(0.02)
    assert await owner.fetchval("select count(*) from medbot.dead_letters") == 0
