"""What holds while a Supabase project cannot be reached: what ends here, and what is told later."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import asyncpg
import httpx
import pytest
from supabase_server import Project

import tokens
from auth_service.providers.supabase_cloud import FAILURES, PAUSE
from auth_service.providers.supabase_directory import SupabaseDirectory
from auth_service.providers.supabase_waiting import MOST
from auth_service.testing import PASSWORD, SERVICE_SECRET, Auth, Member, make_app
from kit.settings import Settings
from kit.testing import FixedClock, serve
from tokens.verification import open_verifier

NEW_PASSWORD = "another horse entirely"
AWAY, BUSY, WEAK = "39", "38", "04"


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


@pytest.fixture
async def gateway(
    auth: Auth, project: Project, clock: FixedClock
) -> AsyncIterator[tokens.Verifier]:
    settings = Settings.model_validate(
        {
            "auth_service_url": str(auth.http.base_url),
            "service_token_secret": SERVICE_SECRET,
            "database_url": project.service_url,
            **project.settings,
        }
    )
    async with open_verifier(settings, service="gateway", clock=clock) as verifier:
        yield verifier


def code_of(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["code"]


def refuse(project: Project, **recordings: str) -> None:
    """From now on these calls, by the last part of their path, are answered with recordings."""

    async def choose() -> None:
        project.refuse = recordings.get(project.seen[-1][1].rpartition("/")[2])

    project.asked = choose


def hold(project: Project) -> asyncio.Event:
    """From now on no call is answered before this is set."""
    answers = asyncio.Event()

    async def hang() -> None:
        await answers.wait()

    project.asked = hang
    return answers


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not holds():
            await asyncio.sleep(0.05)


async def test_while_supabase_is_away(auth: Auth, project: Project) -> None:
    alice = await auth.register("alice@example.org")
    project.hang = 30
    async with asyncio.timeout(12):
        answer = await auth.login(alice.email)
    assert code_of(answer) == (503, "service.unavailable")
    assert answer.headers["retry-after"] == "2"
    assert (await auth.get("/api/v1/profile", alice.access)).status_code == 200
    forgot = await auth.post("/password/forgot", email=alice.email)
    assert forgot.status_code == 202
    project.hang = 0


async def test_supabase_is_left_alone_while_it_does_not_answer(
    auth: Auth, project: Project
) -> None:
    alice = await auth.register("alice@example.org")
    project.refuse = "39"
    for _ in range(FAILURES):
        assert code_of(await auth.login(alice.email)) == (503, "service.unavailable")
    asked = len(project.seen)
    for _ in range(20):
        answer = await auth.login(alice.email)
        assert code_of(answer) == (503, "service.unavailable")
        assert answer.headers["retry-after"] == "2"
    assert len(project.seen) == asked
    project.refuse = None
    await asyncio.sleep(PAUSE)
    assert (await auth.login(alice.email)).status_code == 200


async def test_a_change_holds_here_while_supabase_is_away(
    auth: Auth, project: Project, rows: Any
) -> None:
    alice, admin = await auth.register("alice@example.org"), await auth.admin()
    project.refuse = "39"
    path = f"/api/v1/admin/people/{alice.id}/lock"
    locked = await auth.put(path, admin.access, None)
    assert locked.status_code == 200
    assert locked.json()["locked_at"] is not None
    project.refuse = None
    assert not project.accounts[alice.id].banned
    late = project.open(project.accounts[alice.id])["access_token"]
    assert (await auth.get("/api/v1/profile", late)).status_code == 401
    assert code_of(await auth.login(alice.email)) == (403, "auth.account_locked")
    assert (await auth.delete(path, admin.access)).status_code == 204
    assert (await auth.login(alice.email)).status_code == 200
    assert await rows.fetchval("select count(*) from medbot.account_changes") == 0


async def test_the_gateway_lets_in_nobody_who_is_locked_while_supabase_hangs(
    auth: Auth, project: Project, gateway: tokens.Verifier
) -> None:
    alice, admin = await auth.register("alice@example.org"), await auth.admin()
    known = set(project.families)
    unseen = project.open(project.accounts[alice.id])["access_token"]
    locked = await auth.put(f"/api/v1/admin/people/{alice.id}/lock", admin.access, None)
    assert locked.status_code == 200
    answers = hold(project)
    for _ in range(MOST + 1):
        with pytest.raises(tokens.InvalidToken):
            await gateway.verify(unseen)
    assert set(project.families) > known
    answers.set()
    await until(lambda: set(project.families) == known)


async def test_a_change_that_supabase_was_slow_to_make_overtakes_no_newer_one(
    auth: Auth, project: Project, clock: FixedClock
) -> None:
    alice, bob, admin = [await auth.register(), await auth.register(), await auth.admin()]
    mighty, banned = project.accounts[alice.id], project.accounts[bob.id]
    roles, lock = f"/api/v1/auth/users/{alice.id}/roles", f"/api/v1/admin/people/{bob.id}/lock"
    answers = hold(project)
    given, locked = await asyncio.gather(
        auth.put(roles, admin.access, {"roles": ["patient", "admin"]}),
        auth.put(lock, admin.access, None),
    )
    assert (given.status_code, locked.status_code) == (200, 200)  # nobody waits for ever
    project.asked = None
    assert (await auth.put(roles, admin.access, {"roles": ["patient"]})).status_code == 200
    assert (await auth.delete(lock, admin.access)).status_code == 204
    answers.set()
    await until(lambda: banned.banned and mighty.app.get("roles") == ["admin", "patient"])
    clock.advance(seconds=16)
    directory = auth.context.directory
    assert isinstance(directory, SupabaseDirectory)
    await directory.look()
    assert (mighty.app["roles"], banned.banned) == (["patient"], False)
    assert (await auth.login(bob.email)).status_code == 200


@pytest.mark.parametrize("untold", [AWAY, BUSY])
@pytest.mark.parametrize("scope", ["local", "global"])
async def test_who_signs_out_is_signed_out_here_and_there_later(
    auth: Auth, project: Project, scope: str, untold: str
) -> None:
    alice = await auth.register("alice@example.org")
    other = Member.of((await auth.login(alice.email)).json())
    project.refuse = untold
    assert (await auth.post(f"/logout?scope={scope}", alice.access)).status_code == 204
    project.refuse = None
    leaving, staying = ([alice], [other]) if scope == "local" else ([alice, other], [])
    assert len(project.families) == 2
    for member in leaving:
        assert (await auth.get("/api/v1/profile", member.access)).status_code == 401
        assert code_of(await auth.refresh(member.refresh)) == (401, "auth.invalid_token")
    assert len(project.families) == len(staying)
    for member in staying:
        assert (await auth.get("/api/v1/profile", member.access)).status_code == 200
        assert (await auth.refresh(member.refresh)).status_code == 200


@pytest.mark.parametrize("password", [NEW_PASSWORD, PASSWORD], ids=["new", "same"])
async def test_a_password_that_was_reset_ends_every_session(
    auth: Auth, project: Project, password: str
) -> None:
    alice = await auth.register("alice@example.org")
    project.links["mailed"] = ("recovery", alice.id)
    refuse(project, logout=AWAY)
    assert (await auth.post("/password/reset", token="mailed", password=password)).is_success
    assert (await auth.get("/api/v1/profile", alice.access)).status_code == 401
    assert code_of(await auth.refresh(alice.refresh)) == (401, "auth.invalid_token")
    assert (await auth.login(alice.email, password)).status_code == 200


async def test_the_same_password_again_ends_the_other_sessions(
    auth: Auth, project: Project
) -> None:
    alice = await auth.register("alice@example.org")
    other = Member.of((await auth.login(alice.email)).json())
    refuse(project, logout=AWAY)
    given = {"current_password": PASSWORD, "new_password": PASSWORD}
    assert (await auth.post("/password", alice.access, **given)).status_code == 204
    assert (await auth.get("/api/v1/profile", other.access)).status_code == 401
    assert (await auth.get("/api/v1/profile", alice.access)).status_code == 200


async def test_a_refused_password_is_called_what_it_is(auth: Auth, project: Project) -> None:
    alice = await auth.register("alice@example.org")
    project.links["mailed"] = ("recovery", alice.id)
    refuse(project, user=WEAK, logout=AWAY)
    given = {"current_password": PASSWORD, "new_password": NEW_PASSWORD}
    changed = await auth.post("/password", alice.access, **given)
    assert code_of(changed) == (422, "auth.weak_password")
    reset = await auth.post("/password/reset", token="mailed", password=NEW_PASSWORD)
    assert code_of(reset) == (422, "auth.weak_password")
    assert (await auth.get("/api/v1/profile", alice.access)).status_code == 200


async def test_an_address_that_was_confirmed_is_confirmed(auth: Auth, project: Project) -> None:
    project.autoconfirm = False
    await auth.post("/register", email="new@example.org", password=PASSWORD)
    refuse(project, logout=AWAY)
    assert (await auth.post("/verify", token=project.link("signup"))).status_code == 204
    assert (await auth.login("new@example.org")).status_code == 200
