"""What holds with Supabase alone: what it refuses, tokens that came another way, a crash."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, suppress
from typing import Any
from uuid import uuid4

import asyncpg
import httpx
import pytest
import supabase_server
from supabase_answers import Account
from supabase_server import Project

from auth_service.administration import actions
from auth_service.erasure import worker
from auth_service.providers.supabase_cloud import FAILURES
from auth_service.providers.supabase_directory import SupabaseDirectory
from auth_service.testing import PASSWORD, SERVICE_SECRET, Auth, Member, make_app
from contracts.events import HOLDERS
from kit import outbox
from kit.errors import InvalidToken
from kit.identity import Actor, Role
from kit.settings import Settings
from kit.testing import FixedClock, serve
from tokens.verification import open_verifier

Open = Callable[..., Awaitable[Auth]]


@pytest.fixture
async def open_auth(project: Project, clock: FixedClock) -> AsyncIterator[Open]:
    async with AsyncExitStack() as stack:

        async def open_one(**settings: Any) -> Auth:
            app = make_app(project.service_url, clock, **(project.settings | settings))
            served = await stack.enter_async_context(serve(app))
            http = httpx.AsyncClient(base_url=served.url, timeout=30)
            return Auth(app, await stack.enter_async_context(http))

        yield open_one


@pytest.fixture
async def auth(open_auth: Open) -> Auth:
    return await open_auth()


@pytest.fixture
async def rows(project: Project) -> AsyncIterator[Any]:
    connection = await asyncpg.connect(project.owner_url)
    yield connection
    await connection.close()


@pytest.fixture
async def visitor(project: Project, clock: FixedClock) -> Account:
    """Somebody whom only the project knows."""
    known = Account(
        uuid4(), "vera@example.org", PASSWORD, clock(), True, data={"full_name": " Vera Example "}
    )
    await project.add(known)
    return known


def code_of(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["code"]


def common(auth: Auth, project: Project) -> Settings:
    return Settings.model_validate(
        {
            "auth_service_url": str(auth.http.base_url),
            "service_token_secret": SERVICE_SECRET,
            "database_url": project.service_url,
            **project.settings,
        }
    )


async def test_the_first_request_makes_the_profile(
    auth: Auth, project: Project, visitor: Account, rows: Any
) -> None:
    session = project.open(visitor)
    first = [auth.get("/api/v1/profile", session["access_token"]) for _ in range(5)]
    answers = await asyncio.gather(*first)
    assert [answer.json()["full_name"] for answer in answers] == ["Vera Example"] * 5
    assert await rows.fetchval("select count(*) from public.user_profiles") == 1
    told = await rows.fetchval(
        "select (select count(*) from medbot.queue) + (select count(*) from medbot.outbox)"
    )
    assert told >= 1
    assert await rows.fetchval("select role from public.user_roles") == "patient"


async def test_the_gateway_shows_a_new_token(
    auth: Auth, project: Project, visitor: Account, rows: Any, clock: FixedClock
) -> None:
    session = project.open(visitor)
    settings = common(auth, project)
    async with open_verifier(settings, service="conversation", clock=clock) as verifier:
        await verifier.verify(session["access_token"])
    assert await rows.fetchval("select count(*) from public.user_profiles") == 0
    async with open_verifier(settings, service="gateway", clock=clock) as verifier:
        actor = await verifier.verify(session["access_token"])
    assert actor.id == visitor.id
    assert await rows.fetchval("select user_id from medbot.sessions") == visitor.id


async def test_a_session_that_ended_here_ends_there_when_it_is_seen_again(
    auth: Auth, project: Project, clock: FixedClock
) -> None:
    alice = await auth.register("alice@example.org")
    other = Member.of((await auth.login(alice.email)).json())
    listed = (await auth.get("/api/v1/auth/sessions", alice.access)).json()["items"]
    (theirs,) = [each["id"] for each in listed if not each["current"]]
    await auth.delete(f"/api/v1/auth/sessions/{theirs}", alice.access)
    assert len(project.families) == 2
    account = project.accounts[alice.id]
    bob = await auth.register("bob@example.org")
    clock.advance(hours=2)
    bob = Member.of((await auth.login(bob.email)).json())
    await auth.post("/logout", bob.access)  # by then the verifiers forget who left long ago
    family = next(f for f in project.families.values() if str(f.id) == theirs)
    again = project.token(account, family.id)
    settings = common(auth, project)
    async with open_verifier(settings, service="gateway", clock=clock) as verifier:
        with pytest.raises(InvalidToken):
            await verifier.verify(again)
    async with asyncio.timeout(20):
        while family.id in project.families:
            await asyncio.sleep(0.05)
    assert (await auth.refresh(other.refresh)).status_code == 401


async def test_where_addresses_are_confirmed(auth: Auth, project: Project) -> None:
    project.autoconfirm = False
    new = await auth.post("/register", email="new@example.org", password=PASSWORD)
    assert (new.status_code, new.json()["session"]) == (201, None)
    assert code_of(await auth.login("new@example.org")) == (401, "auth.bad_credentials")
    token = project.link("signup")
    assert code_of(await auth.post("/password/reset", token=token, password=PASSWORD)) == (
        422, "auth.invalid_link",
    )  # fmt: skip
    assert (await auth.post("/verify", token=token)).status_code == 204
    assert project.families == {}
    assert (await auth.login("new@example.org")).status_code == 200
    known = await auth.post("/register", email="new@example.org", password=PASSWORD)
    assert known.status_code == 201
    same = {"full_name": None, "roles": ["patient"], "email": "new@example.org"}
    assert known.json()["session"] is None
    assert same.items() <= known.json()["user"].items()
    assert known.json()["user"].keys() == new.json()["user"].keys()


async def test_an_erased_account_is_deleted_there(
    auth: Auth, project: Project, rows: Any, clock: FixedClock
) -> None:
    alice = await auth.register("alice@example.org")
    erasure = (await auth.delete("/api/v1/auth/me", alice.access)).json()["erasure_id"]
    assert alice.id in project.accounts
    late = project.open(project.accounts[alice.id])
    assert (await auth.get("/api/v1/profile", late["access_token"])).status_code == 401
    await rows.execute("update medbot.erasure_parts set erased_at = now()")
    project.refuse = "10"
    context = auth.context
    assert await worker.look(context.db, context.directory, context.signer, clock) == 0
    state = (await auth.get(f"/api/v1/auth/erasures/{erasure}")).json()
    assert state["status"] == "pending"
    project.refuse = None
    await worker.look(context.db, context.directory, context.signer, clock)
    state = (await auth.get(f"/api/v1/auth/erasures/{erasure}")).json()
    assert (state["status"], alice.id in project.accounts) == ("complete", False)


async def open_for_long(project: Project) -> int:
    """How many transactions of the services stay open while an answer is waited for."""
    asked = (
        "select array_agg(pid || '-' || xact_start) from pg_stat_activity"
        " where datname = current_database() and usename = 'medbot_service'"
        " and state like 'idle in transaction%'"
    )
    connection = await asyncpg.connect(project.root_url)
    try:
        before = set(await connection.fetchval(asked) or ())
        await asyncio.sleep(0.3)
        return len(before & set(await connection.fetchval(asked) or ()))
    finally:
        await connection.close()


async def test_no_transaction_is_open_while_supabase_is_asked(
    auth: Auth, project: Project, rows: Any
) -> None:
    held: list[int] = []

    async def look() -> None:
        held.append(await open_for_long(project))

    project.asked = look
    alice, admin = await auth.register("alice@example.org"), await auth.admin()
    path = f"/api/v1/admin/people/{alice.id}/lock"
    roles = f"/api/v1/auth/users/{alice.id}/roles"
    assert (await auth.put(roles, admin.access, {"roles": ["staff"]})).status_code == 200
    assert (await auth.put(path, admin.access, None)).status_code == 200
    assert (await auth.delete(path, admin.access)).status_code == 204
    alice = Member.of((await auth.login(alice.email)).json())
    assert (await auth.post("/logout", alice.access)).status_code == 204
    alice = Member.of((await auth.login(alice.email)).json())
    erasure = (await auth.delete("/api/v1/auth/me", alice.access)).json()["erasure_id"]
    for service in ("conversation", "voice"):
        await report(auth, erasure, service)
    async with asyncio.timeout(20):
        while alice.id in project.accounts:
            await asyncio.sleep(0.05)
    assert len(held) >= 10
    assert held == [0] * len(held)


async def report(auth: Auth, erasure: str, service: str) -> None:
    """A service says that it has erased."""
    event = HOLDERS[service].model_validate({"erasure_id": erasure})
    async with auth.context.db.transaction(Actor.of_service(service)) as tx:
        await outbox.emit(tx, event, source=service)


async def test_what_supabase_could_not_be_told_is_told_after_a_crash(
    open_auth: Open, project: Project, clock: FixedClock
) -> None:
    first = await open_auth()
    alice, admin = await first.register("alice@example.org"), await first.admin()
    path = f"/api/v1/auth/users/{alice.id}/roles"
    assert (await first.put(path, admin.access, {"roles": ["staff", "admin"]})).status_code == 200
    arrived = asyncio.Event()

    async def never() -> None:
        arrived.set()
        await asyncio.sleep(3600)

    project.asked = never
    taking = asyncio.create_task(
        actions.set_roles(
            first.desk(), first.context.directory, alice.id, [Role.PATIENT], now=clock()
        )
    )
    await arrived.wait()
    taking.cancel()  # as a process that is killed while it waits for the answer
    with suppress(asyncio.CancelledError):
        await taking
    project.asked = None
    assert project.accounts[alice.id].app["roles"] == ["admin", "staff"]
    mighty = project.open(project.accounts[alice.id])["access_token"]
    assert (await first.get("/api/v1/admin/people", mighty)).status_code == 401
    assert code_of(await first.login(alice.email)) == (503, "service.unavailable")
    second = await open_auth()
    directory = second.context.directory
    assert isinstance(directory, SupabaseDirectory)
    await directory.look()  # who was telling it may be slow, and no more
    assert project.accounts[alice.id].app["roles"] == ["admin", "staff"]
    clock.advance(seconds=16)
    await directory.look()
    assert project.accounts[alice.id].app["roles"] == ["patient"]
    assert (await second.login(alice.email)).json()["user"]["roles"] == ["patient"]


async def test_an_erasure_that_was_cut_short_is_done_again(
    auth: Auth, project: Project, rows: Any, clock: FixedClock
) -> None:
    alice = await auth.register("alice@example.org")
    erasure = (await auth.delete("/api/v1/auth/me", alice.access)).json()["erasure_id"]
    await rows.execute("update medbot.erasure_parts set erased_at = now()")
    deleted = asyncio.Event()
    really = project.delete

    async def delete(account: Account) -> None:
        await really(account)
        deleted.set()
        await asyncio.sleep(3600)

    project.delete = delete  # type: ignore[method-assign]
    context = auth.context
    ending = asyncio.create_task(worker.look(context.db, context.directory, context.signer, clock))
    await deleted.wait()
    ending.cancel()  # as a process that is killed between the deletion and the receipt
    with suppress(asyncio.CancelledError):
        await ending
    assert (await auth.get(f"/api/v1/auth/erasures/{erasure}")).json()["status"] == "pending"
    await worker.look(context.db, context.directory, context.signer, clock)
    state = (await auth.get(f"/api/v1/auth/erasures/{erasure}")).json()
    assert (state["status"], alice.id in project.accounts) == ("complete", False)


REFUSED = [
    ("06", "/register", 403, "auth.registration_closed"),
    ("38", "/login", 429, "auth.busy"),
    ("09", "/register", 429, "auth.busy"),
    ("16", "/login", 403, "auth.account_locked"),
    ("10", "/register", 503, "service.unavailable"),
    ("11", "/register", 503, "service.unavailable"),
    ("39", "/login", 503, "service.unavailable"),
    ("40", "/login", 503, "service.unavailable"),
    ("13", "/login", 401, "auth.bad_credentials"),
    ("04", "/register", 422, "auth.weak_password"),
    ("05", "/register", 422, "auth.email_refused"),
]


@pytest.mark.parametrize(("recording", "path", "status", "code"), REFUSED)
async def test_what_supabase_refuses(
    auth: Auth, project: Project, recording: str, path: str, status: int, code: str,
    capfd: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    project.refuse = recording
    answer = await auth.post(path, email="who@example.org", password="secret horse battery")
    assert code_of(answer) == (status, code)
    assert (status in (429, 503)) == ("retry-after" in answer.headers)
    logged = "".join(capfd.readouterr())
    for word in ("secret horse", "who@example.org", "full_name", supabase_server.ANON):
        assert word not in logged + answer.text


async def test_a_person_who_is_refused_closes_nobody_out(auth: Auth, project: Project) -> None:
    alice = await auth.register("alice@example.org")
    for number in range(2 * FAILURES):
        wrong = await auth.login(f"nobody{number}@example.org")
        assert code_of(wrong) == (401, "auth.bad_credentials")
    assert (await auth.login(alice.email)).status_code == 200


async def test_without_the_service_key(open_auth: Open) -> None:
    auth = await open_auth(supabase_service_role_key=None)
    with pytest.raises(Exception, match="SUPABASE_SERVICE_ROLE_KEY"):
        await auth.context.provider.create("made@example.org", PASSWORD, None)


async def test_tokens_of_a_shared_secret(open_auth: Open, project: Project) -> None:
    project.symmetric = True
    auth = await open_auth()
    alice = await auth.register("alice@example.org")
    assert (await auth.get("/api/v1/auth/me", alice.access)).status_code == 200
    account = project.accounts[alice.id]
    unnamed = project.token(account, uuid4(), iss=None)
    assert (await auth.get("/api/v1/profile", unnamed)).status_code == 200
    for wrong in ({"iss": "https://other.example"}, {"role": "service_role"}, {"aud": "other"}):
        token = project.token(account, uuid4(), **wrong)
        assert (await auth.get("/api/v1/profile", token)).status_code == 401


async def test_roles_that_somebody_wrote_themselves_count_for_nothing(
    auth: Auth, project: Project, visitor: Account
) -> None:
    visitor.data["roles"] = ["admin"]
    session = project.open(visitor)
    me = (await auth.get("/api/v1/auth/me", session["access_token"])).json()
    assert me["roles"] == ["patient"]
    refused = await auth.get("/api/v1/admin/people", session["access_token"])
    assert refused.status_code == 403


async def test_nothing_is_added_to_the_schema_of_supabase(project: Project, rows: Any) -> None:
    ours = await rows.fetch(
        "select relname from pg_class where relnamespace = 'auth'::regnamespace"
        " and relowner <> 'supabase_auth_admin'::regrole"
    )
    policies = await rows.fetch("select policyname from pg_policies where schemaname = 'auth'")
    functions = await rows.fetch(
        "select proname from pg_proc where pronamespace = 'auth'::regnamespace order by 1"
    )
    assert (ours, policies) == ([], [])
    assert [row["proname"] for row in functions] == ["jwt", "role", "uid"]
    for role in ("authenticator", "anon", "authenticated", "service_role"):
        assert not await rows.fetchval("select pg_has_role($1, 'medbot_app', 'member')", role)
