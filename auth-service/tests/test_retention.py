"""Old rows of the audit log and old sign-ins go; the chain verifies from its checkpoint on."""

from datetime import datetime, timedelta
from typing import Any

import pytest

from auth_service import forgetting
from auth_service import retention as kept
from auth_service.audit import verification
from auth_service.audit.models import Fault, Verdict
from auth_service.providers import local
from auth_service.testing import SERVICE_SECRET, Auth, Member
from kit.database import Database, utc_now
from kit.testing import FixedClock
from privacy import audit, retention

SEAL = audit.seal_of(SERVICE_SECRET)
YEAR = 365


@pytest.fixture
def now() -> datetime:
    """The database itself keeps what is young by its own clock."""
    return utc_now()


@pytest.fixture
async def rows(database: Database, now: datetime) -> None:
    """Ten rows: four are older than a year."""
    for days in (500, 400, 399, 366, 300, 200, 100, 40, 10, 1):
        record_clock = FixedClock(now - timedelta(days=days))
        desk = audit.Desk(database, local.ACTOR, None, SEAL, record_clock)
        async with desk.transaction("people.find"):
            pass


async def verify(database: Database, **more: Any) -> Verdict:
    async with database.transaction(local.ACTOR) as tx:
        return await verification.verify(tx, SEAL, **more)


async def test_old_rows_go_and_the_chain_verifies_from_its_checkpoint(
    database: Database, rows: None, now: datetime, owner: Any
) -> None:
    before = await verify(database)
    clock = FixedClock(now)
    classes = kept.classes(SEAL, clock, audit_days=YEAR, sessions_days=None)
    due = await retention.due(database, local.ACTOR, classes, now=now)
    assert [(each.name, each.rows) for each in due] == [("audit", 4), ("sessions", 0)]
    assert await retention.apply(database, local.ACTOR, classes, now=now) == {"audit": 4}
    after = await verify(database)
    assert (after.whole, after.first, after.rows, after.head) == (True, 5, 7, 11)
    newest = await owner.fetchrow("select * from medbot.audit_log order by seq desc limit 1")
    assert (newest["action"], newest["actor_kind"]) == ("audit.trim", "service")
    assert newest["resources"] == ["row:4"]
    noted = verification.Anchor(before.head, bytes.fromhex(before.head_hash))
    assert (await verify(database, anchor=noted)).whole
    assert await retention.apply(database, local.ACTOR, classes, now=now) == {"audit": 0}

    later = now + timedelta(days=70)
    again = await retention.apply(database, local.ACTOR, classes, now=later)
    assert again == {"audit": 1}
    assert ((await verify(database)).first, (await verify(database)).whole) == (6, True)


@pytest.mark.parametrize(
    ("tampering", "fault", "seq"),
    [
        ("delete from medbot.audit_checkpoints", Fault.REMOVED, 1),
        ("delete from medbot.audit_log where seq = 5", Fault.REMOVED, 5),
        ("update medbot.audit_log set action = 'x.y' where seq = 5", Fault.CHANGED, 5),
        ("update medbot.audit_checkpoints set hash = sha256('x')", Fault.UNSIGNED, 4),
        ("update medbot.audit_checkpoints set signature = 'x'", Fault.UNSIGNED, 4),
        ("update medbot.audit_checkpoints set seq = 5, hash ="
         " (select hash from medbot.audit_log where seq = 5)", Fault.UNSIGNED, 5),
    ],
)  # fmt: skip
async def test_a_forged_beginning_is_named(
    database: Database, rows: None, now: datetime, owner: Any,
    tampering: str, fault: Fault, seq: int,
) -> None:  # fmt: skip
    classes = kept.classes(SEAL, FixedClock(now), audit_days=YEAR, sessions_days=None)
    await retention.apply(database, local.ACTOR, classes, now=now)
    await owner.execute(tampering)
    verdict = await verify(database)
    assert (verdict.fault, verdict.seq) == (fault, seq)


async def test_rows_that_are_young_by_the_databases_own_clock_stay(
    database: Database, rows: None, now: datetime
) -> None:
    later = FixedClock(now + timedelta(days=5000))
    classes = kept.classes(SEAL, later, audit_days=5, sessions_days=None)
    gone = await retention.apply(database, local.ACTOR, classes, now=later())
    assert gone == {"audit": 0}, "the database keeps what is young by its own clock"
    assert (await verify(database)).rows == 10


async def test_sign_ins_that_have_ended_go_by_their_age(
    database: Database, auth: Auth, clock: FixedClock, alice: Member, owner: Any
) -> None:
    clock.advance(days=1)
    again = Member.of((await auth.login(alice.email)).json())
    await auth.post("/logout", again.access)
    classes = kept.classes(SEAL, clock, audit_days=None, sessions_days=10)
    sessions = "select count(*) from medbot.sessions"
    for days, left in ((9, 2), (2, 1), (28, 1), (3, 0)):
        clock.advance(days=days)
        due = await retention.due(database, local.ACTOR, classes, now=clock())
        gone = await retention.apply(database, local.ACTOR, classes, now=clock())
        assert gone == {"sessions": due[1].rows}
        assert await owner.fetchval(sessions) == left
    assert await owner.fetchval("select count(*) from medbot.refresh_tokens") == 0


async def test_sign_ins_that_lie_unused_are_forgotten_without_a_setting(
    auth: Auth, alice: Member, bob: Member, owner: Any
) -> None:
    ctx, clock = auth.context, FixedClock(utc_now())
    for person, days in ((alice, 31), (bob, 29)):
        await owner.execute(
            "update medbot.sessions set used_at = $2 where user_id = $1",
            person.id,
            clock() - timedelta(days=days),
        )
    await forgetting.once(ctx.db, clock, ctx.gate, ctx.sender)
    left = await owner.fetch("select user_id from medbot.sessions")
    assert [row["user_id"] for row in left] == [bob.id]


async def anchor_at(owner: Any, seq: int) -> verification.Anchor:
    row = await owner.fetchrow("select hash from medbot.audit_log where seq = $1", seq)
    return verification.Anchor(seq, row["hash"])


async def test_a_place_that_retention_removed_is_never_said_to_hold(
    database: Database, rows: None, now: datetime, owner: Any
) -> None:
    inside, last, kept_one = [await anchor_at(owner, seq) for seq in (2, 4, 5)]
    classes = kept.classes(SEAL, FixedClock(now), audit_days=YEAR, sessions_days=None)
    await retention.apply(database, local.ACTOR, classes, now=now)
    gone = await verify(database, anchor=inside)
    assert (gone.whole, gone.anchor) == (True, "too_old")
    assert "row 2 was noted, and retention has removed it" in gone.said
    for held in (last, kept_one):
        assert (await verify(database, anchor=held)).anchor == "holds"
    for seq in (4, 5):
        wrong = await verify(database, anchor=verification.Anchor(seq, b"x" * 32))
        assert (wrong.whole, wrong.fault, wrong.seq) == (False, Fault.ANCHOR, seq)
        assert wrong.anchor == "differs"
    assert (await verify(database)).anchor is None
