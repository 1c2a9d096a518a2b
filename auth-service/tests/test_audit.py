"""Whoever changes, removes or reorders a row of the audit log is found out, row by row."""

import asyncio
import uuid
from collections.abc import Awaitable, Callable
from typing import Any

import asyncpg
import pytest

from auth_service.audit import verification
from auth_service.audit.models import Fault, Verdict
from auth_service.testing import SERVICE_SECRET, Auth, Member, bearer
from kit.database import Database
from kit.identity import Actor
from kit.testing import FixedClock
from privacy import audit

AUDIT = "/api/v1/admin/audit"
AUTH = Actor.of_service("auth")
ROWS = 9
UNSEALED = "alter table medbot.audit_people alter column pseudonym drop expression"

Verify = Callable[..., Awaitable[Verdict]]


@pytest.fixture
async def admin(auth: Auth) -> Member:
    return await auth.admin()


@pytest.fixture
def verify(database: Database) -> Verify:
    async def verify(secret: str = SERVICE_SECRET, **more: Any) -> Verdict:
        async with database.transaction(AUTH) as tx:
            return await verification.verify(tx, audit.seal_of(secret), **more)

    return verify


@pytest.fixture
def tampered(owner: Any) -> Callable[..., Awaitable[Verdict]]:
    """The verdict after some statements, which are taken back."""

    async def tampered(*statements: str, **more: Any) -> Verdict:
        undone = owner.transaction()
        await undone.start()
        try:
            for statement in statements:
                await owner.execute(statement)
            return await verification.verify(owner, audit.seal_of(SERVICE_SECRET), **more)
        finally:
            await undone.rollback()

    return tampered


@pytest.fixture
async def chain(auth: Auth, admin: Member, alice: Member, bob: Member, verify: Verify) -> None:
    """Nine rows: each has an actor, a person, resources and a request id."""
    for number in range(ROWS):
        member, roles = (alice, ["staff"]) if number % 2 else (bob, ["patient", "staff"])
        path = f"/api/v1/auth/users/{member.id}/roles"
        assert (await auth.put(path, admin.access, {"roles": roles})).status_code == 200
    assert (await verify()).whole


async def test_an_empty_log_and_a_whole_one_verify(
    auth: Auth, admin: Member, verify: Verify
) -> None:
    assert (await verify()).model_dump(include={"whole", "rows", "head"}) == {
        "whole": True, "rows": 0, "head": 0,
    }  # fmt: skip
    for _ in range(3):
        assert (await auth.get(AUDIT, admin.access)).status_code == 200
    verdict = (await auth.get(f"{AUDIT}/verification", admin.access)).json()
    assert (verdict["whole"], verdict["rows"], verdict["head"]) == (True, 3, 3)
    assert (await verify()).rows == 4, "the verification is in the log too"


CHANGES = (
    ("at", "at + interval '1 microsecond'"),
    ("service", "'conversation'"),
    ("actor_kind", "'operator'"),
    ("actor", "gen_random_uuid()"),
    ("actor", "null"),
    ("actor_roles", "'{patient}'"),
    ("action", "'people.read'"),
    ("outcome", "'request.not_found'"),
    ("subjects", "array[gen_random_uuid()]"),
    ("subjects", "'{}'"),
    ("resources", "'{}'"),
    ("request_id", "'another-request'"),
    ("previous", "sha256('x')"),
    ("hash", "sha256('x')"),
)


async def test_a_change_of_any_column_of_any_row_is_named(
    owner: Any, chain: None, tampered: Verify
) -> None:
    rows = await owner.fetch(
        "select column_name from information_schema.columns"
        " where table_schema = 'medbot' and table_name = 'audit_log'"
    )
    assert {row["column_name"] for row in rows} == {column for column, _ in CHANGES} | {"seq"}
    for seq in range(1, ROWS + 1):
        for column, value in CHANGES:
            verdict = await tampered(
                f"update medbot.audit_log set {column} = {value} where seq = {seq}"
            )
            assert (verdict.whole, verdict.fault, verdict.seq) == (False, Fault.CHANGED, seq)
            assert verdict.said == f"row {seq} was changed"
        verdict = await tampered(f"update medbot.audit_log set seq = 1000 where seq = {seq}")
        assert (verdict.fault, verdict.seq) == (Fault.REMOVED, seq)


async def test_a_row_whose_hash_was_made_anew_is_named(chain: None, tampered: Verify) -> None:
    anew = "update medbot.audit_log l set hash = medbot.audit_digest(l) where seq = {}"
    for change in ("actor_roles = '{{}}'", "previous = sha256('x')"):
        for seq in range(1, ROWS + 1):
            verdict = await tampered(
                f"update medbot.audit_log set {change.format()} where seq = {seq}",
                anew.format(seq),
            )
            assert (verdict.fault, verdict.seq) == (Fault.CHANGED, seq)


async def test_a_chain_that_was_made_anew_to_its_end_lacks_the_signature(
    owner: Any, chain: None, verify: Verify
) -> None:
    noted = await owner.fetchrow("select seq, hash from medbot.audit_log where seq = 7")
    await owner.execute("update medbot.audit_log set actor_roles = '{}' where seq = 5")
    for seq in range(5, ROWS + 1):
        await owner.execute(
            "update medbot.audit_log l set previous ="
            " (select hash from medbot.audit_log where seq = $1 - 1) where seq = $1",
            seq,
        )
        await owner.execute(
            "update medbot.audit_log l set hash = medbot.audit_digest(l) where seq = $1", seq
        )
    await owner.execute(
        "update medbot.audit_head h set hash = l.hash from medbot.audit_log l where l.seq = h.seq"
    )
    verdict = await verify()
    assert (verdict.fault, verdict.seq) == (Fault.UNSIGNED, ROWS)
    anchored = await verify(anchor=verification.Anchor(noted["seq"], noted["hash"]))
    assert (anchored.fault, anchored.seq) == (Fault.ANCHOR, 7)


async def test_a_removed_row_is_named(chain: None, tampered: Verify) -> None:
    for seq in range(1, ROWS + 1):
        verdict = await tampered(f"delete from medbot.audit_log where seq = {seq}")
        assert (verdict.fault, verdict.seq) == (Fault.REMOVED, seq)


async def test_a_removed_row_is_named_when_the_others_close_up(
    chain: None, tampered: Verify
) -> None:
    for seq in range(1, ROWS):
        verdict = await tampered(
            f"delete from medbot.audit_log where seq = {seq}",
            *(f"update medbot.audit_log set seq = {later - 1} where seq = {later}"
              for later in range(seq + 1, ROWS + 1)),
        )  # fmt: skip
        assert (verdict.fault, verdict.seq) == (Fault.REMOVED, seq)


async def test_newest_rows_that_are_removed_with_the_head_are_found_by_signature_or_anchor(
    owner: Any, chain: None, verify: Verify
) -> None:
    end = await owner.fetchrow("select seq, hash, kid, signature from medbot.audit_head")
    await owner.execute("delete from medbot.audit_log where seq > 6")
    assert ((await verify()).fault, (await verify()).seq) == (Fault.REMOVED, 7)
    await owner.execute(
        "update medbot.audit_head h set seq = l.seq, hash = l.hash from medbot.audit_log l"
        " where l.seq = 6"
    )
    assert (await verify()).fault is Fault.UNSIGNED
    anchored = await verify(anchor=verification.Anchor(end["seq"], end["hash"]))
    assert not anchored.whole


async def test_a_swap_of_any_two_rows_is_named(chain: None, tampered: Verify) -> None:
    for one in range(1, ROWS + 1):
        for two in range(one + 1, ROWS + 1):
            verdict = await tampered(
                *(f"update medbot.audit_log set seq = {new} where seq = {old}"
                  for old, new in ((one, 1000), (two, one), (1000, two)))
            )  # fmt: skip
            assert (verdict.fault, verdict.seq) == (Fault.REORDERED, one)
            assert f"what stands there was written as row {two}" in verdict.said


async def test_nobody_is_put_in_anothers_place(
    owner: Any, chain: None, verify: Verify, admin: Member, bob: Member
) -> None:
    await owner.execute(UNSEALED)
    await owner.execute(
        "with was as (delete from medbot.audit_people where person_id = $1 returning *)"
        " update medbot.audit_people p set pseudonym = was.pseudonym from was"
        " where p.person_id = $2",
        admin.id,
        bob.id,
    )
    verdict = await verify()
    assert (verdict.fault, verdict.seq) == (Fault.CHANGED, 1)
    assert verdict.said == "the person whom row 1 names was changed"


async def test_a_head_of_another_installation_does_not_hold(chain: None, verify: Verify) -> None:
    verdict = await verify("another secret of more than thirty-two letters")
    assert verdict.fault is Fault.UNSIGNED
    assert "SERVICE_TOKEN_SECRET" in verdict.said


async def test_the_chain_outlives_an_account_and_forgets_its_person(
    auth: Auth, owner: Any, chain: None, verify: Verify, admin: Member, alice: Member
) -> None:
    before = await owner.fetch("select * from medbot.audit_log order by seq")
    await owner.execute("delete from auth.users where id = $1", alice.id)
    assert await owner.fetch("select * from medbot.audit_log order by seq") == before
    assert (await verify()).whole
    everything = str([dict(row) for row in before])
    assert str(alice.id) not in everything
    assert alice.email not in everything
    listed = (await auth.get(AUDIT, admin.access)).json()["items"]
    assert [None] in [entry["people"] for entry in listed]
    about = (await auth.get(f"{AUDIT}?person={alice.id}", admin.access)).json()
    assert about["items"] == []


async def test_the_log_is_read_by_person_actor_action_and_time(
    auth: Auth, clock: FixedClock, chain: None, admin: Member, alice: Member, bob: Member
) -> None:
    async def seqs(query: str) -> list[int]:
        answer = await auth.http.get(f"{AUDIT}{query}", headers=bearer(admin.access))
        assert answer.status_code == 200, answer.text
        return [item["seq"] for item in answer.json()["items"]]

    assert await seqs(f"?person={alice.id}") == [8, 6, 4, 2]
    assert await seqs(f"?actor={bob.id}") == []
    assert len(await seqs(f"?actor={admin.id}")) == ROWS + 2
    assert await seqs("?action=people.roles&limit=3") == [9, 8, 7]
    assert len(await seqs("?action=people")) == ROWS
    assert await seqs("?action=peop") == []
    assert await seqs("?to=2020-01-01T00:00:00Z") == []
    assert len(await seqs("?from=2020-01-01T00:00:00Z")) == ROWS + 7


async def test_rows_that_are_written_at_once_make_one_chain(
    auth: Auth, second: Auth, verify: Verify, admin: Member, alice: Member
) -> None:
    path = f"/api/v1/admin/people/{alice.id}"
    answers = await asyncio.gather(
        *(one.get(path, admin.access) for one in (auth, second) for _ in range(25))
    )
    assert {answer.status_code for answer in answers} == {200}
    verdict = await verify()
    assert (verdict.whole, verdict.rows) == (True, 50)


async def test_no_service_may_write_the_log_itself(
    database: Database, chain: None, admin: Member, alice: Member
) -> None:
    actors = [AUTH, Actor.of_service("conversation"), Actor.of_person(alice.id)]
    for actor in actors:
        for statement in (
            "update medbot.audit_log set action = 'x.y'",
            "delete from medbot.audit_log",
            "truncate medbot.audit_log",
            "insert into medbot.audit_log select * from medbot.audit_log",
            "update medbot.audit_head set seq = 0",
            "delete from medbot.audit_people",
            "insert into medbot.audit_checkpoints values (3, sha256('x'), now(), 'k', 'x')",
        ):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                async with database.transaction(actor) as tx:
                    await tx.execute(statement)
    person = Actor.of_person(admin.id)
    async with database.transaction(person) as tx:
        assert await tx.fetch("select * from medbot.audit_log") == []
        record = audit.Record(tx)
        with pytest.raises(audit.NotRecorded):
            await audit.append(
                record, "people.read", "done", service=AUTH, actor=person,
                seal=audit.seal_of(SERVICE_SECRET), clock=FixedClock(),
            )  # fmt: skip


async def test_young_rows_stay_whoever_asks(
    database: Database, owner: Any, chain: None, verify: Verify
) -> None:
    row = await owner.fetchrow("select seq, hash from medbot.audit_log where seq = 5")
    async with database.transaction(AUTH) as tx:
        removed = await tx.fetchval(
            "select medbot.audit_trim($1, $2, now(), 'k', 'x')", row["seq"], row["hash"]
        )
    assert removed == 0
    assert (await verify()).rows == ROWS


async def test_a_word_cannot_get_into_the_log(database: Database) -> None:
    for resource in ("note:my head hurts", "headache", "note:" + "x" * 65):
        record = audit.Record(None, {uuid.uuid4()}, {resource: None})  # type: ignore[arg-type]
        with pytest.raises(asyncpg.CheckViolationError):
            async with database.transaction(AUTH) as tx:
                record.tx = tx
                await audit.append(
                    record, "people.read", "done", service=AUTH, actor=None,
                    seal=audit.seal_of(SERVICE_SECRET), clock=FixedClock(),
                )  # fmt: skip
