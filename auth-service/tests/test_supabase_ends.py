"""What was ended or taken away here stays so, whatever tokens of Supabase come by later."""

from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import datetime
from typing import Any
from uuid import uuid4

import asyncpg
import httpx
import pytest
from supabase_server import Project

from auth_service import forgetting
from auth_service import retention as kept
from auth_service.providers.supabase_directory import SupabaseDirectory
from auth_service.testing import SERVICE_SECRET, Auth, Member, make_app
from kit.identity import Role
from kit.testing import FixedClock, serve
from privacy import audit, retention


@pytest.fixture
async def auth(project: Project, clock: FixedClock) -> AsyncIterator[Auth]:
    app = make_app(project.service_url, clock, **project.settings)
    async with (
        serve(app) as served,
        httpx.AsyncClient(base_url=served.url, timeout=30) as http,
    ):
        yield Auth(app, http)


@pytest.fixture
async def rows(project: Project) -> AsyncIterator[Any]:
    connection = await asyncpg.connect(project.owner_url)
    yield connection
    await connection.close()


async def forget(auth: Auth, now: datetime) -> None:
    """What the service forgets every hour."""
    ctx = auth.context
    await forgetting.once(ctx.db, lambda: now, ctx.gate, ctx.sender)


async def retain(auth: Auth, now: datetime) -> None:
    """What retention lets go once a day, where ended sign-ins are kept for one."""
    ctx, seal = auth.context, audit.seal_of(SERVICE_SECRET)
    classes = kept.classes(seal, lambda: now, audit_days=None, sessions_days=1)
    due = await retention.due(ctx.db, ctx.actor, classes, now=now)
    gone = await retention.apply(ctx.db, ctx.actor, classes, now=now)
    assert gone == {"sessions": due[1].rows}
    again = await retention.due(ctx.db, ctx.actor, classes, now=now)
    assert again[1].rows == 0


SESSIONS = "/api/v1/auth/sessions"
LetGo = Callable[[Auth, datetime], Awaitable[None]]


@pytest.mark.parametrize("let_go", [forget, retain])
async def test_a_session_that_was_ended_stays_ended_when_it_is_old(
    auth: Auth, project: Project, clock: FixedClock, rows: Any, let_go: LetGo
) -> None:
    alice = await auth.register("alice@example.org")
    lost = Member.of((await auth.login(alice.email)).json())
    listed = (await auth.get(SESSIONS, alice.access)).json()["items"]
    (theirs,) = [each["id"] for each in listed if not each["current"]]
    ended = await auth.delete(f"{SESSIONS}/{theirs}", alice.access)
    assert ended.status_code == 204
    clock.advance(days=32)
    await let_go(auth, clock())
    (left,) = await rows.fetch("select * from medbot.sessions")
    assert {name for name, value in left.items() if value is not None} == {
        "id", "user_id", "ended_at",
    }  # fmt: skip
    assert str(left["id"]) == theirs

    again = project.token(project.accounts[alice.id], left["id"])
    assert (await auth.get("/api/v1/profile", again)).status_code == 401
    assert (await auth.refresh(lost.refresh)).status_code == 401
    assert await rows.fetch("select * from medbot.sessions") == [left]
    alice = Member.of((await auth.refresh(alice.refresh)).json())
    (own,) = (await auth.get(SESSIONS, alice.access)).json()["items"]
    assert own["current"]

    assert (await auth.delete("/api/v1/auth/me", alice.access)).status_code == 202
    assert await rows.fetch("select * from medbot.sessions") == []


async def give(auth: Auth, admin: Member, person: Member, *roles: Role) -> None:
    """An administrator gives somebody exactly these roles."""
    path = f"/api/v1/auth/users/{person.id}/roles"
    assert (await auth.put(path, admin.access, {"roles": roles})).status_code == 200


async def opens(auth: Auth, token: str) -> int:
    """What a token that is new here is answered where an admin alone may come in."""
    return (await auth.get("/api/v1/admin/people", token)).status_code


@pytest.fixture
async def admin(auth: Auth) -> Member:
    return await auth.admin()


@pytest.fixture
async def alice(auth: Auth, admin: Member) -> Member:
    """Somebody who may do all."""
    alice = await auth.register("alice@example.org")
    await give(auth, admin, alice, Role.PATIENT, Role.STAFF, Role.ADMIN)
    return alice


Claims = dict[str, Any]
WEEK = 7 * 86_400


@pytest.mark.parametrize("says", [{}, {"iat": None}, {"iat": 5}], ids=["plain", "ageless", "ahead"])
async def test_a_token_that_never_came_by_carries_no_power_on_that_was_taken_away(
    auth: Auth, project: Project, clock: FixedClock, alice: Member, admin: Member, says: Claims
) -> None:
    now, account = int(clock().timestamp()), project.accounts[alice.id]
    if says.get("iat"):
        says = {"iat": now + says["iat"]}  # the project's clock is ahead of ours
    one, other, third = [project.token(account, uuid4(), exp=now + WEEK, **says) for _ in range(3)]
    await give(auth, admin, alice, Role.PATIENT, Role.STAFF)
    assert await opens(auth, one) == 401
    clock.advance(days=6, hours=23)
    await forget(auth, clock())
    assert await opens(auth, other) == 401
    admin = Member.of((await auth.refresh(admin.refresh)).json())
    await give(auth, admin, alice, Role.PATIENT, Role.STAFF, Role.ADMIN)
    assert await opens(auth, third) == 200


async def test_a_token_that_came_after_a_power_was_taken_away_passes_at_once(
    auth: Auth, project: Project, clock: FixedClock, alice: Member, admin: Member, rows: Any
) -> None:
    await give(auth, admin, alice, Role.PATIENT)
    account = project.accounts[alice.id]
    fresh = project.open(account)["access_token"]
    assert (await auth.get("/api/v1/profile", fresh)).status_code == 200
    assert await opens(auth, fresh) == 403
    account.app["roles"] = ["admin"]  # given again where the account is kept
    clock.advance(seconds=11)
    assert await opens(auth, project.open(account)["access_token"]) == 200
    alice = Member.of((await auth.login(alice.email)).json())

    assert (await auth.delete("/api/v1/auth/me", alice.access)).status_code == 202
    lost = "select count(*) from medbot.lost_roles where user_id = $1"
    assert await rows.fetchval(lost, alice.id) == 0


@pytest.mark.parametrize("untold", [{"minutes": 5}, {"days": 8}], ids=["minutes", "days"])
async def test_a_power_that_a_token_got_while_the_project_was_not_told_is_taken_too(
    auth: Auth, project: Project, clock: FixedClock, alice: Member, admin: Member,
    untold: dict[str, int],
) -> None:  # fmt: skip
    project.refuse = "39"
    await give(auth, admin, alice, Role.PATIENT)
    project.refuse = None
    clock.advance(**untold)
    await forget(auth, clock())
    late = project.open(project.accounts[alice.id])["access_token"]
    directory = auth.context.directory
    assert isinstance(directory, SupabaseDirectory)
    await directory.look()
    assert project.accounts[alice.id].app["roles"] == ["patient"]
    assert await opens(auth, late) == 401


async def test_that_a_power_was_taken_away_is_forgotten_when_no_token_can_carry_it(
    auth: Auth, clock: FixedClock, rows: Any, alice: Member, admin: Member
) -> None:
    await give(auth, admin, alice, Role.PATIENT)
    lost = "select array_agg(role order by role) from medbot.lost_roles where user_id = $1"
    assert await rows.fetchval(lost, alice.id) == ["admin", "staff"]
    clock.advance(days=7)
    await forget(auth, clock())
    assert await rows.fetchval(lost, alice.id) == ["admin", "staff"]
    clock.advance(seconds=11)
    await forget(auth, clock())
    assert await rows.fetchval(lost, alice.id) is None
