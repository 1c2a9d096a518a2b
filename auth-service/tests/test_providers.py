"""What holds wherever the accounts are kept: locally, or in a Supabase project."""

import asyncio
import secrets
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from supabase_project import REAL, Linked, Loopback, real
from supabase_server import Project

from auth_service.mails.testing import PostOffice, open_post_office
from auth_service.testing import PASSWORD, Auth, Member, make_app
from contracts.events import HOLDERS
from kit.database import utc_now
from kit.identity import Role
from kit.testing import Addresses, FixedClock, serve

NEW_PASSWORD = "another horse entirely"
PROVIDERS = ["local", "supabase", *(["real"] if REAL else [])]


@dataclass
class Home:
    """An auth service, and where the tokens of its mails come to light."""

    auth: Auth
    links: Linked


@dataclass
class Posted:
    """Mails of our own."""

    office: PostOffice

    async def link(self, kind: str) -> str:
        return await self.office.token()


@pytest.fixture(params=PROVIDERS)
def where(request: pytest.FixtureRequest) -> Any:
    """What keeps the accounts, before anything is opened."""
    fixtures = {"local": "addresses", "supabase": "project"}
    name = fixtures.get(request.param)
    return request.getfixturevalue(name) if name is not None else None


async def _export(_: Request) -> Response:
    return Response('{"rows":0}\n')


async def opened(stack: AsyncExitStack, where: Any, clock: FixedClock, **more: Any) -> Home:
    """The auth service beside others that keep nothing."""
    others = Starlette(routes=[Route("/internal/people/{person}/export", _export)])
    beside = await stack.enter_async_context(serve(others))
    settings: dict[str, Any] = {f"{name}_service_url": beside.url for name in HOLDERS}
    settings |= {"allow_guests": True, **more}
    if isinstance(where, Project):
        app = make_app(where.service_url, clock, **settings, **where.settings)
        links: Linked = Loopback(where)
    elif isinstance(where, Addresses):
        office = await stack.enter_async_context(open_post_office())
        app = make_app(where.service, clock, smtp_url=office.url, **settings)
        links = Posted(office)
    else:
        links = found = real(PostOffice())
        await found.office.open()
        stack.push_async_callback(found.office.close)
        app = make_app(found.said["service_url"], utc_now, **settings, **found.settings)
    served = await stack.enter_async_context(serve(app))
    http = httpx.AsyncClient(base_url=served.url, timeout=30)
    return Home(Auth(app, await stack.enter_async_context(http)), links)


@pytest.fixture
async def home(where: Any, clock: FixedClock) -> AsyncIterator[Home]:
    """The auth service with each kind of accounts."""
    async with AsyncExitStack() as stack:
        yield await opened(stack, where, clock)


@pytest.fixture
async def auth(home: Home) -> Auth:
    return home.auth


@pytest.fixture
async def alice(auth: Auth) -> Member:
    return await auth.register(full_name="Alice Example")


@pytest.fixture
async def bob(auth: Auth) -> Member:
    return await auth.register()


def code_of(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["code"]


async def test_a_new_account_is_signed_in(auth: Auth) -> None:
    email = f"{secrets.token_hex(6)}@Example.org"
    answer = await auth.post("/register", email=email, password=PASSWORD, full_name="Ann Example")
    body = answer.json()
    assert answer.status_code == 201
    assert body["user"]["email"] == email.lower()
    assert body["user"]["full_name"] == "Ann Example"
    assert body["user"]["roles"] == ["patient"]
    session = body["session"]
    assert session["token_type"] == "bearer"
    assert 0 < session["expires_in"] <= 3600
    me = await auth.get("/api/v1/auth/me", session["access_token"])
    assert me.json() == body["user"]
    valid = await auth.get("/api/v1/auth/validate", session["access_token"])
    named = {name: body["user"][name] for name in ("id", "email", "roles")}
    assert valid.json() == {"valid": True, "user": named}
    profile = await auth.get("/api/v1/profile", session["access_token"])
    assert profile.json()["full_name"] == "Ann Example"


async def test_an_address_has_one_account(auth: Auth, alice: Member) -> None:
    again = await auth.post("/register", email=alice.email.upper(), password=PASSWORD)
    assert code_of(again) == (409, "auth.email_taken")


@pytest.mark.parametrize("password", ["short", "ä" * 37, ""])
async def test_a_weak_password_makes_no_account(auth: Auth, password: str) -> None:
    email = f"{secrets.token_hex(6)}@example.org"
    answer = await auth.post("/register", email=email, password=password)
    assert code_of(answer) == (422, "auth.weak_password")
    assert code_of(await auth.login(email, PASSWORD)) == (401, "auth.bad_credentials")


async def test_signing_in(auth: Auth, alice: Member) -> None:
    answer = await auth.login(alice.email.upper())
    assert answer.status_code == 200
    assert answer.json()["user"] == alice.user
    assert answer.json()["session"]["access_token"] != alice.access


async def test_what_is_wrong_with_a_sign_in_is_not_told(auth: Auth, alice: Member) -> None:
    known = await auth.login(alice.email, "wrong horse battery")
    unknown = await auth.login(f"{secrets.token_hex(6)}@example.org")
    malformed = await auth.login("nobody")
    empty = await auth.login(alice.email, "")
    for answer in (known, unknown, malformed, empty):
        assert code_of(answer) == (401, "auth.bad_credentials")
        assert answer.json()["detail"] == known.json()["detail"]


async def test_failures_are_slowed_down(auth: Auth, alice: Member) -> None:
    for _ in range(6):
        answer = await auth.login(alice.email, "wrong horse battery")
    assert code_of(answer) == (429, "auth.locked")
    assert int(answer.headers["retry-after"]) >= 1


async def test_refreshing(auth: Auth, alice: Member) -> None:
    answer = await auth.refresh(alice.refresh)
    assert answer.status_code == 200
    assert answer.json()["user"] == alice.user
    session = answer.json()["session"]
    assert session["refresh_token"] != alice.refresh
    assert (await auth.get("/api/v1/auth/me", session["access_token"])).status_code == 200
    listed = (await auth.get("/api/v1/auth/sessions", session["access_token"])).json()["items"]
    assert [each["current"] for each in listed] == [True]
    again = await auth.refresh(alice.refresh)  # a second tab
    assert again.status_code == 200


@pytest.mark.parametrize("token", ["", "x", "aaaaaaaaaaaa", "é" * 40])
async def test_what_is_no_refresh_token(auth: Auth, token: str) -> None:
    assert code_of(await auth.refresh(token)) == (401, "auth.invalid_token")


async def test_an_old_refresh_token_gives_a_theft_away(auth: Auth, alice: Member) -> None:
    tokens = [alice.refresh]
    for _ in range(3):
        answer = await auth.refresh(tokens[-1])
        tokens.append(answer.json()["session"]["refresh_token"])
    if isinstance(clock := auth.context.clock, FixedClock):
        clock.advance(seconds=11)
    assert code_of(await auth.refresh(tokens[0])) == (401, "auth.token_reused")


async def test_signing_out_here(auth: Auth, alice: Member) -> None:
    other = Member.of((await auth.login(alice.email)).json())
    assert (await auth.post("/logout", alice.access)).status_code == 204
    assert code_of(await auth.get("/api/v1/auth/me", alice.access)) == (401, "auth.invalid_token")
    assert code_of(await auth.refresh(alice.refresh)) == (401, "auth.invalid_token")
    assert (await auth.get("/api/v1/auth/me", other.access)).status_code == 200
    assert (await auth.refresh(other.refresh)).status_code == 200


async def test_signing_out_everywhere(auth: Auth, alice: Member) -> None:
    other = Member.of((await auth.login(alice.email)).json())
    assert (await auth.post("/logout?scope=global", alice.access)).status_code == 204
    for member in (alice, other):
        assert (await auth.get("/api/v1/auth/me", member.access)).status_code == 401
        assert (await auth.refresh(member.refresh)).status_code == 401


async def test_sessions(auth: Auth, alice: Member, bob: Member) -> None:
    other = Member.of((await auth.login(alice.email)).json())
    listed = (await auth.get("/api/v1/auth/sessions", alice.access)).json()["items"]
    assert len(listed) == 2
    (ours,) = [each["id"] for each in listed if each["current"]]
    (theirs,) = [each["id"] for each in listed if not each["current"]]
    for nobody in (uuid4(), theirs):
        refused = await auth.delete(f"/api/v1/auth/sessions/{nobody}", bob.access)
        assert refused.status_code == 404
    assert (await auth.delete(f"/api/v1/auth/sessions/{theirs}", alice.access)).status_code == 204
    assert (await auth.get("/api/v1/auth/me", other.access)).status_code == 401
    assert code_of(await auth.refresh(other.refresh)) == (401, "auth.invalid_token")
    assert (await auth.delete(f"/api/v1/auth/sessions/{ours}", alice.access)).status_code == 204
    assert (await auth.get("/api/v1/auth/me", alice.access)).status_code == 401


async def test_changing_the_password(auth: Auth, alice: Member) -> None:
    other = Member.of((await auth.login(alice.email)).json())
    wrong = await auth.post(
        "/password", alice.access, current_password="wrong", new_password=NEW_PASSWORD
    )
    assert code_of(wrong) == (401, "auth.bad_credentials")
    assert (await auth.get("/api/v1/auth/me", other.access)).status_code == 200
    weak = await auth.post("/password", alice.access, current_password=PASSWORD, new_password="x")
    assert code_of(weak) == (422, "auth.weak_password")
    done = await auth.post(
        "/password", alice.access, current_password=PASSWORD, new_password=NEW_PASSWORD
    )
    assert done.status_code == 204
    assert (await auth.get("/api/v1/auth/me", alice.access)).status_code == 200
    assert (await auth.get("/api/v1/auth/me", other.access)).status_code == 401
    assert (await auth.refresh(other.refresh)).status_code == 401
    assert (await auth.login(alice.email)).status_code == 401
    assert (await auth.login(alice.email, NEW_PASSWORD)).status_code == 200


async def test_changing_the_password_to_the_same(auth: Auth, alice: Member) -> None:
    other = Member.of((await auth.login(alice.email)).json())
    done = await auth.post(
        "/password", alice.access, current_password=PASSWORD, new_password=PASSWORD
    )
    assert done.status_code == 204
    assert (await auth.get("/api/v1/auth/me", alice.access)).status_code == 200
    assert (await auth.refresh(other.refresh)).status_code == 401


async def test_a_forgotten_password(home: Home, alice: Member) -> None:
    auth = home.auth
    assert (await auth.post("/password/forgot", email="nobody@example.org")).status_code == 202
    assert (await auth.post("/password/forgot", email=alice.email)).status_code == 202
    await asyncio.sleep(0.3)
    token = await home.links.link("recovery")
    weak = await auth.post("/password/reset", token=token, password="x")
    assert code_of(weak) == (422, "auth.weak_password")
    done = await auth.post("/password/reset", token=token, password=NEW_PASSWORD)
    assert done.status_code == 204, done.text
    assert (await auth.get("/api/v1/auth/me", alice.access)).status_code == 401
    assert (await auth.refresh(alice.refresh)).status_code == 401
    assert (await auth.login(alice.email)).status_code == 401
    assert (await auth.login(alice.email, NEW_PASSWORD)).status_code == 200
    again = await auth.post("/password/reset", token=token, password=NEW_PASSWORD)
    assert code_of(again) == (422, "auth.invalid_link")


@pytest.mark.parametrize("token", ["", "x", "ab" * 28])
async def test_what_is_no_link(auth: Auth, token: str) -> None:
    assert code_of(await auth.post("/verify", token=token)) == (422, "auth.invalid_link")
    reset = await auth.post("/password/reset", token=token, password=NEW_PASSWORD)
    assert code_of(reset) == (422, "auth.invalid_link")


async def test_roles(auth: Auth, alice: Member) -> None:
    admin = await auth.admin()
    path = f"/api/v1/auth/users/{alice.id}/roles"
    assert (await auth.put(path, alice.access, {"roles": ["admin"]})).status_code == 403
    given = await auth.put(path, admin.access, {"roles": ["patient", "staff"]})
    assert given.json()["roles"] == ["patient", "staff"]
    renewed = (await auth.refresh(alice.refresh)).json()
    assert renewed["user"]["roles"] == ["patient", "staff"]
    actor = await auth.context.verifier.verify(renewed["session"]["access_token"])
    assert actor.roles == {Role.PATIENT, Role.STAFF}
    taken = await auth.put(path, admin.access, {"roles": ["patient"]})
    assert taken.json()["roles"] == ["patient"]
    ended = await auth.get("/api/v1/auth/me", renewed["session"]["access_token"])
    assert ended.status_code == 401
    assert (await auth.login(alice.email)).json()["user"]["roles"] == ["patient"]
    nobody = f"/api/v1/auth/users/{uuid4()}/roles"
    assert (await auth.put(nobody, admin.access, {"roles": ["staff"]})).status_code == 404


async def test_a_locked_account(auth: Auth, alice: Member) -> None:
    admin = await auth.admin()
    path = f"/api/v1/admin/people/{alice.id}"
    assert (await auth.put(f"{path}/lock", admin.access, None)).status_code == 200
    assert (await auth.get("/api/v1/auth/me", alice.access)).status_code == 401
    assert (await auth.refresh(alice.refresh)).status_code == 401
    assert code_of(await auth.login(alice.email)) == (403, "auth.account_locked")
    assert (await auth.delete(f"{path}/lock", admin.access)).status_code == 204
    assert (await auth.login(alice.email)).status_code == 200


async def test_people_are_found(auth: Auth, alice: Member) -> None:
    admin = await auth.admin()
    found = await auth.get(f"/api/v1/admin/people?email={alice.email}", admin.access)
    assert [person["id"] for person in found.json()["items"]] == [str(alice.id)]
    provider = auth.context.provider
    user = await provider.find(alice.email)
    assert user is not None
    assert (user.id, user.full_name) == (alice.id, "Alice Example")
    assert await provider.find(f"{secrets.token_hex(6)}@example.org") is None
    made = await provider.create(f"{secrets.token_hex(6)}@example.org", PASSWORD, "Made Example")
    assert (await auth.login(made.email)).json()["user"] == made.model_dump(mode="json")


async def test_a_guest_becomes_somebody(auth: Auth, alice: Member) -> None:
    guest = (await auth.post("/guest")).json()
    actor = await auth.context.verifier.verify(guest["access_token"])
    assert (actor.kind, actor.id) == ("guest", UUID(guest["guest_id"]))
    assert (await auth.get("/api/v1/auth/me", guest["access_token"])).status_code == 403
    joined = await auth.post("/guest/join", alice.access, guest_token=guest["access_token"])
    assert joined.status_code == 204
    with pytest.raises(Exception, match="not valid"):
        await auth.context.verifier.verify(guest["access_token"])


async def test_a_profile(auth: Auth, alice: Member) -> None:
    changed = await auth.put("/api/v1/profile", alice.access, {"phone": "+15551234567"})
    assert changed.status_code == 200
    assert changed.json()["phone"] == "+15551234567"


@pytest.mark.parametrize("path", ["/me", "/validate", "/sessions"])
async def test_what_is_no_access_token(auth: Auth, alice: Member, path: str) -> None:
    head, _, signature = alice.access.rpartition(".")
    for token in (None, "x.y.z", f"{head}.{signature[::-1]}", alice.refresh):
        answer = await auth.get(f"/api/v1/auth{path}", token)
        assert code_of(answer) == (401, "auth.invalid_token")


async def test_who_is_erased_does_not_come_back(auth: Auth, alice: Member) -> None:
    erased = await auth.delete("/api/v1/auth/me", alice.access)
    assert erased.status_code == 202
    assert (await auth.delete("/api/v1/auth/me", alice.access)).json() == erased.json()
    assert (await auth.get("/api/v1/auth/me", alice.access)).status_code == 401
    assert (await auth.refresh(alice.refresh)).status_code == 401
    assert (await auth.login(alice.email)).status_code == 401


async def test_an_erasure_can_be_followed(auth: Auth, alice: Member) -> None:
    erasure = (await auth.delete("/api/v1/auth/me", alice.access)).json()["erasure_id"]
    state = (await auth.get(f"/api/v1/auth/erasures/{erasure}")).json()
    assert state["status"] == "pending"
    assert {part["service"] for part in state["services"]} == {"auth", *HOLDERS}
    assert (await auth.get(f"/api/v1/auth/erasures/{uuid4()}")).status_code == 404


async def test_an_export(auth: Auth, alice: Member, bob: Member) -> None:
    document = await auth.get("/api/v1/auth/me/export", alice.access)
    assert document.status_code == 200
    assert alice.email in document.text
    assert str(alice.id) in document.text
    assert bob.email not in document.text
    assert (await auth.get("/api/v1/auth/me/export")).status_code == 401


async def test_the_keys_are_public(auth: Auth) -> None:
    answer = await auth.get("/.well-known/jwks.json")
    assert [key["kty"] for key in answer.json()["keys"]] == ["EC"]
    assert all("d" not in key for key in answer.json()["keys"])


@pytest.mark.parametrize("where", [name for name in PROVIDERS if name != "real"], indirect=True)
async def test_where_addresses_are_confirmed(where: Any, clock: FixedClock) -> None:
    """A real project is not asked: it is told to confirm none."""
    if isinstance(where, Project):
        where.autoconfirm = False
    async with AsyncExitStack() as stack:
        home = await opened(stack, where, clock, email_confirmation=True)
        email = f"{secrets.token_hex(6)}@example.org"
        made = await home.auth.post("/register", email=email, password=PASSWORD)
        assert (made.status_code, made.json()["session"]) == (201, None)
        assert code_of(await home.auth.login(email)) == (401, "auth.bad_credentials")
        token = await home.links.link("signup")
        assert (await home.auth.post("/verify", token=token)).status_code == 204
        assert (await home.auth.login(email)).status_code == 200
        again = await home.auth.post("/register", email=email, password=PASSWORD)
        assert (again.status_code, again.json()["session"]) == (201, None)
        assert again.json()["user"].keys() == made.json()["user"].keys()
