"""Administration: every call is by an admin, and leaves a row in the audit log or does nothing."""

import asyncio
import uuid
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.routing import APIRoute, iter_route_contexts

from auth_service import main
from auth_service.testing import PASSWORD, SERVICE_SECRET, Auth, Member, bearer
from kit.errors import InvalidToken
from kit.settings import Settings
from kit.testing import FixedClock
from privacy import audit
from tokens.verification import open_verifier

ADMIN = "/api/v1/admin"
ROLES = "/api/v1/auth/users/{user_id}/roles"

# One good request for each route; {alice}, {session} and {letter} are filled in.
CALLS: dict[str, tuple[str, Any, str]] = {
    f"GET {ADMIN}/people": (f"{ADMIN}/people?email=alice", None, "people.find"),
    f"GET {ADMIN}/people/{{person_id}}": (f"{ADMIN}/people/{{alice}}", None, "people.read"),
    f"PUT {ADMIN}/people/{{person_id}}/lock": (
        f"{ADMIN}/people/{{alice}}/lock", None, "people.lock",
    ),
    f"DELETE {ADMIN}/people/{{person_id}}/lock": (
        f"{ADMIN}/people/{{alice}}/lock", None, "people.unlock",
    ),
    f"GET {ADMIN}/people/{{person_id}}/sessions": (
        f"{ADMIN}/people/{{alice}}/sessions", None, "people.sessions",
    ),
    f"DELETE {ADMIN}/people/{{person_id}}/sessions": (
        f"{ADMIN}/people/{{alice}}/sessions", None, "people.end_sessions",
    ),
    f"DELETE {ADMIN}/people/{{person_id}}/sessions/{{session_id}}": (
        f"{ADMIN}/people/{{alice}}/sessions/{{session}}", None, "people.end_sessions",
    ),
    f"GET {ADMIN}/dead-letters": (f"{ADMIN}/dead-letters", None, "events.dead"),
    f"POST {ADMIN}/dead-letters/{{letter_id}}/replay": (
        f"{ADMIN}/dead-letters/{{letter}}/replay", None, "events.replay",
    ),
    f"GET {ADMIN}/audit": (f"{ADMIN}/audit", None, "audit.list"),
    f"GET {ADMIN}/audit/verification": (f"{ADMIN}/audit/verification", None, "audit.verify"),
    f"PUT {ROLES}": (
        "/api/v1/auth/users/{alice}/roles", {"roles": ["patient", "staff"]}, "people.roles",
    ),
}  # fmt: skip


def admin_routes(app: FastAPI) -> list[tuple[str, APIRoute]]:
    """Every route that is for admins, by its method and path."""
    found = []
    for context in iter_route_contexts(app.routes):
        route = context.original_route
        if isinstance(route, APIRoute) and (
            "/admin/" in str(context.path) or context.path == ROLES
        ):
            found += [(f"{method} {context.path}", route) for method in route.methods or ()]
    return found


@pytest.fixture
async def admin(auth: Auth) -> Member:
    return await auth.admin()


@pytest.fixture
def rows(owner: Any) -> Any:
    """The rows of the log, oldest first, as they are."""

    async def rows() -> list[dict[str, Any]]:
        return [dict(row) for row in await owner.fetch(
            "select l.*, a.person_id as actor_id, array(select p.person_id from"
            " unnest(l.subjects) s (id) left join medbot.audit_people p on p.pseudonym = s.id)"
            " as people from medbot.audit_log l left join medbot.audit_people a"
            " on a.pseudonym = l.actor order by seq")]  # fmt: skip

    return rows


async def call(auth: Auth, who: Member, line: str, path: str, body: Any) -> Any:
    return await auth.http.request(line.split()[0], path, json=body, headers=bearer(who.access))


async def letter(owner: Any, number: int = 1) -> int:
    made: int = await owner.fetchval(
        "insert into medbot.dead_letters (queue, event_id, envelope, attempts, error)"
        " values ('conversation', $1, $2, 6, 'ValueError') returning id",
        uuid.UUID(int=number),
        '{"specversion": "1.0", "id": "00000000-0000-0000-0000-000000000001", "type": "medbot.auth.'
        'user.registered.v1", "source": "auth", "subject": "x", "time": "2026-01-01T00:00:00Z",'
        ' "data": {}}',
    )
    return made


def test_every_admin_route_has_a_desk_and_a_call_below() -> None:
    routes = admin_routes(main.build())
    assert {line for line, _ in routes} == set(CALLS)
    assert [line for line, route in routes if audit.unaudited(route.dependant.dependencies)] == []


@pytest.mark.parametrize("line", CALLS)
async def test_a_call_leaves_one_row_and_only_an_admin_may_make_it(
    auth: Auth, owner: Any, rows: Any, admin: Member, alice: Member, bob: Member, line: str
) -> None:
    path, body, action = CALLS[line]
    session = await owner.fetchval("select id from medbot.sessions where user_id = $1", alice.id)
    path = path.format(alice=alice.id, session=session, letter=await letter(owner))
    before = len(await rows())
    refused = await call(auth, bob, line, path, body)
    assert (refused.status_code, refused.json()["code"]) == (403, "auth.forbidden")
    assert len(await rows()) == before
    done = await call(auth, admin, line, path, body)
    assert done.status_code in {200, 202, 204}, done.text
    (row,) = (await rows())[before:]
    assert (row["action"], row["outcome"], row["service"]) == (action, "done", "auth")
    assert (row["actor_id"], row["actor_roles"]) == (admin.id, ["admin", "patient"])
    assert row["request_id"] == done.headers["x-request-id"]
    if "people" in action:
        assert row["people"] == [alice.id]


@pytest.mark.parametrize(
    ("line", "code"),
    [
        ("GET /people?email=a%00b", "request.invalid"),
        ("GET /audit?from=0001-01-01T00:00:00%2B14:00", "request.invalid"),
        ("GET /audit?to=9999-12-31T23:59:59-14:00", "request.invalid"),
        ("GET /audit/verification?anchor_seq=1", "audit.half_anchor"),
        ("POST /dead-letters/99999999999999999999/replay", "request.invalid"),
    ],
)
async def test_what_no_row_can_be_is_refused(
    auth: Auth, admin: Member, line: str, code: str
) -> None:
    answer = await call(auth, admin, line, ADMIN + line.split()[1], None)
    assert (answer.status_code, answer.json()["code"]) == (422, code)


@pytest.mark.parametrize("line", CALLS)
async def test_what_cannot_be_recorded_does_not_happen(
    auth: Auth, owner: Any, admin: Member, alice: Member, line: str
) -> None:
    path, body, _ = CALLS[line]
    session = await owner.fetchval("select id from medbot.sessions where user_id = $1", alice.id)
    path = path.format(alice=alice.id, session=session, letter=await letter(owner))
    await owner.execute("revoke execute on function medbot.audit_append from medbot_app")
    answer = await call(auth, admin, line, path, body)
    assert (answer.status_code, answer.json()["code"]) == (503, "audit.not_recorded")
    assert "alice@" not in answer.text
    assert await owner.fetchval("select count(*) from medbot.account_locks") == 0
    assert await owner.fetchval("select count(*) from medbot.dead_letters") == 1
    assert (await auth.get("/api/v1/auth/me", alice.access)).json()["roles"] == ["patient"]


async def test_a_call_that_finds_nobody_is_in_the_log_too(
    auth: Auth, rows: Any, admin: Member
) -> None:
    nobody = uuid.uuid4()
    before = len(await rows())
    for line, path, body in (
        ("GET", f"{ADMIN}/people/{nobody}", None),
        ("PUT", f"{ADMIN}/people/{nobody}/lock", None),
        ("DELETE", f"{ADMIN}/people/{nobody}/lock", None),
        ("GET", f"{ADMIN}/people/{nobody}/sessions", None),
        ("DELETE", f"{ADMIN}/people/{nobody}/sessions/{uuid.uuid4()}", None),
        ("PUT", f"/api/v1/auth/users/{nobody}/roles", {"roles": ["admin"]}),
        ("POST", f"{ADMIN}/dead-letters/77/replay", None),
    ):
        assert (await call(auth, admin, line, path, body)).status_code == 404, path
    added = (await rows())[before:]
    assert [row["outcome"] for row in added] == ["request.not_found"] * 7
    assert {row["actor_id"] for row in added} == {admin.id}


async def test_a_locked_account_is_out_and_stays_out(
    auth: Auth, second: Auth, admin: Member, alice: Member
) -> None:
    path = f"{ADMIN}/people/{alice.id}/lock"
    locked = await auth.put(path, admin.access, None)
    assert locked.json()["locked_at"] is not None
    assert (await auth.put(path, admin.access, None)).status_code == 200, "twice is no fault"
    for token in (alice.access,):
        assert (await auth.get("/api/v1/auth/me", token)).status_code == 401
    assert (await auth.refresh(alice.refresh)).json()["code"] == "auth.invalid_token"
    refused = await auth.login(alice.email)
    assert (refused.status_code, refused.json()["code"]) == (403, "auth.account_locked")
    wrong = await auth.login(alice.email, "not the password")
    assert wrong.json()["code"] == "auth.bad_credentials", "who cannot sign in learns nothing"
    found = await auth.get(f"{ADMIN}/people?locked=true", admin.access)
    assert [person["id"] for person in found.json()["items"]] == [str(alice.id)]

    unlocked = await auth.http.delete(path, headers=bearer(admin.access))
    assert unlocked.status_code == 204
    assert (await auth.login(alice.email)).status_code == 200


async def test_a_lock_reaches_another_service_within_five_seconds(
    auth: Auth, admin: Member, alice: Member, bob: Member, clock: FixedClock
) -> None:
    settings = Settings.model_validate(
        {"auth_service_url": str(auth.http.base_url), "service_token_secret": SERVICE_SECRET}
    )
    async with open_verifier(settings, service="clinic", clock=clock) as verifier:
        for member in (alice, bob):
            await verifier.verify(member.access)
        await auth.put(f"{ADMIN}/people/{alice.id}/lock", admin.access, None)
        async with asyncio.timeout(5):
            while verifier.cached(alice.access) is not None:
                await asyncio.sleep(0.05)
        with pytest.raises(InvalidToken):
            await verifier.verify(alice.access)
        assert verifier.cached(bob.access) is not None


async def test_a_lock_and_a_sign_in_at_the_same_moment_leave_no_session(
    auth: Auth, second: Auth, admin: Member, owner: Any
) -> None:
    for _ in range(5):
        member = await auth.register()
        lock = f"{ADMIN}/people/{member.id}/lock"
        await asyncio.gather(
            *(second.login(member.email) for _ in range(4)),
            auth.put(lock, admin.access, None),
            *(second.login(member.email) for _ in range(4)),
        )
        living = "select count(*) from medbot.sessions where user_id = $1 and ended_at is null"
        assert await owner.fetchval(living, member.id) == 0


async def test_nobody_locks_themselves_out(auth: Auth, rows: Any, admin: Member) -> None:
    refused = await auth.put(f"{ADMIN}/people/{admin.id}/lock", admin.access, None)
    assert (refused.status_code, refused.json()["code"]) == (409, "admin.own_account")
    assert (await rows())[-1]["outcome"] == "admin.own_account"
    assert (await auth.get("/api/v1/auth/me", admin.access)).status_code == 200


async def test_people_are_found_by_part_of_their_address_page_by_page(
    auth: Auth, clock: FixedClock, admin: Member
) -> None:
    made = []
    for number in range(5):
        clock.advance(seconds=1)
        made.append(await auth.register(f"nurse_{number}@clinic.example"))
    await auth.register("other%x@clinic.example")
    seen: list[str] = []
    cursor = ""
    while True:
        more = f"&cursor={cursor}" if cursor else ""
        page = (await auth.get(f"{ADMIN}/people?email=NURSE_&limit=2{more}", admin.access)).json()
        seen += [person["id"] for person in page["items"]]
        cursor = page["next_cursor"]
        if not cursor:
            break
    assert seen == [str(member.id) for member in reversed(made)]
    none = await auth.get(f"{ADMIN}/people?email=e_0%25", admin.access)
    assert none.json()["items"] == [], "no sign of a pattern has a meaning"


async def test_sessions_are_shown_and_ended_one_by_one(
    auth: Auth, admin: Member, alice: Member
) -> None:
    again = Member.of((await auth.login(alice.email, PASSWORD)).json())
    path = f"{ADMIN}/people/{alice.id}/sessions"
    listed = (await auth.get(path, admin.access)).json()["items"]
    assert len(listed) == 2
    for session in listed:
        done = await auth.http.delete(f"{path}/{session['id']}", headers=bearer(admin.access))
        assert done.status_code == 204
    assert (await auth.get(path, admin.access)).json()["items"] == []
    for token in (alice.access, again.access):
        assert (await auth.get("/api/v1/auth/me", token)).status_code == 401
    gone = await auth.http.delete(f"{path}/{listed[0]['id']}", headers=bearer(admin.access))
    assert gone.status_code == 404


async def test_a_dead_letter_goes_back_into_its_queue(
    auth: Auth, owner: Any, admin: Member
) -> None:
    number = await letter(owner)
    empty = await owner.fetchval(
        "insert into medbot.dead_letters (queue, event_id, envelope, attempts, error)"
        " values ('voice', gen_random_uuid(), '{}', 20, 'NoEvent') returning id"
    )
    listed = (await auth.get(f"{ADMIN}/dead-letters?queue=conversation", admin.access)).json()
    assert [(one["id"], one["type"], one["error"]) for one in listed["items"]] == [
        (number, "medbot.auth.user.registered.v1", "ValueError")
    ]
    done = await auth.http.post(
        f"{ADMIN}/dead-letters/{number}/replay", headers=bearer(admin.access)
    )
    assert done.status_code == 202
    queued = "select attempts from medbot.queue where queue = 'conversation' and event_id = $1"
    assert await owner.fetchval(queued, uuid.UUID(int=1)) == 0
    refused = await auth.http.post(
        f"{ADMIN}/dead-letters/{empty}/replay", headers=bearer(admin.access)
    )
    assert (refused.status_code, refused.json()["code"]) == (409, "admin.not_an_event")


@pytest.mark.parametrize(
    ("queue", "envelope", "code"),
    [
        ("voice", '{"type": 5}', "admin.not_an_event"),
        ("voice", '{"type": "a patient wrote this"}', "admin.not_an_event"),
        ("gone", None, "admin.no_such_queue"),
    ],
)
async def test_a_letter_that_no_queue_can_take_stays_where_it_is(
    auth: Auth, owner: Any, admin: Member, queue: str, envelope: str | None, code: str
) -> None:
    number = await letter(owner)
    await owner.execute(
        "update medbot.dead_letters set queue = $1, envelope = coalesce($2::jsonb, envelope)"
        " where id = $3",
        queue, envelope, number,
    )  # fmt: skip
    refused = await auth.http.post(
        f"{ADMIN}/dead-letters/{number}/replay", headers=bearer(admin.access)
    )
    assert (refused.status_code, refused.json()["code"]) == (409, code)
    assert "patient" not in refused.text
    kept = await owner.fetchval("select count(*) from medbot.dead_letters where id = $1", number)
    assert kept == 1
    queued = "select count(*) from medbot.queue where event_id = $1"
    assert await owner.fetchval(queued, uuid.UUID(int=1)) == 0
