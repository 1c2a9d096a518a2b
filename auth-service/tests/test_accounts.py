"""Registering, signing in and out, who I am, and roles."""

import asyncio
from typing import Any

import jwt
import pytest
from dirty_equals import IsInt, IsStr, IsUUID

from auth_service.testing import PASSWORD, Auth, Member
from kit.testing import FixedClock


async def test_registering_answers_the_user_and_a_session(auth: Auth) -> None:
    answer = await auth.post(
        "/register", email="Carol@Example.org", password=PASSWORD, full_name=" Carol "
    )
    assert answer.status_code == 201
    assert answer.json() == {
        "user": {
            "id": IsUUID(4),
            "email": "carol@example.org",
            "full_name": "Carol",
            "roles": ["patient"],
            "created_at": "2030-01-01T12:00:00Z",
        },
        "session": {
            "access_token": IsStr(min_length=100),
            "refresh_token": IsStr(min_length=43),
            "token_type": "bearer",
            "expires_in": 3600,
            "expires_at": "2030-01-01T13:00:00Z",
        },
    }


async def test_access_tokens_have_the_claims_of_supabase(auth: Auth, alice: Member) -> None:
    keys = (await auth.get("/.well-known/jwks.json")).json()["keys"]
    assert [set(key) for key in keys] == [{"kty", "crv", "x", "y", "kid", "use", "alg"}]
    assert jwt.get_unverified_header(alice.access) == {
        "alg": "ES256", "kid": keys[0]["kid"], "typ": "JWT",
    }  # fmt: skip
    key = jwt.PyJWK.from_dict(keys[0])
    claims = jwt.decode(alice.access, key, audience="authenticated", options={"verify_iat": False})
    assert claims == {
        "iss": "medbot", "sub": str(alice.id), "aud": "authenticated", "email": alice.email,
        "phone": "", "role": "authenticated", "session_id": IsUUID(4), "aal": "aal1",
        "app_metadata": {"provider": "email", "providers": ["email"], "roles": ["patient"]},
        "user_metadata": {}, "is_anonymous": False, "iat": IsInt, "exp": claims["iat"] + 3600,
        "amr": [{"method": "password", "timestamp": claims["iat"]}],
    }  # fmt: skip


async def test_one_address_is_one_account_however_it_is_written(auth: Auth, alice: Member) -> None:
    for spelling in ("alice@example.org", "ALICE@EXAMPLE.ORG", "  Alice@Example.Org "):
        answer = await auth.post("/register", email=spelling, password=PASSWORD)
        assert (answer.status_code, answer.json()["code"]) == (409, "auth.email_taken")
        assert (await auth.login(spelling)).json()["user"]["id"] == str(alice.id)


async def test_two_who_register_one_address_at_once_make_one_account(
    auth: Auth, owner: Any
) -> None:
    answers = await asyncio.gather(
        *(auth.post("/register", email="dora@example.org", password=PASSWORD) for _ in range(6))
    )
    assert sorted(answer.status_code for answer in answers) == [201, 409, 409, 409, 409, 409]
    for table in ("auth.users", "medbot.credentials", "public.user_profiles", "medbot.sessions"):
        assert await owner.fetchval(f"select count(*) from {table}") == 1


async def test_a_password_has_eight_characters_to_72_bytes(auth: Auth) -> None:
    for password in ("", "seven77", "é" * 7, "x" * 73, "é" * 37, "x" * 100_000):
        weak = await auth.post("/register", email="eve@example.org", password=password)
        assert (weak.status_code, weak.json()["code"]) == (422, "auth.weak_password")
    for n, password in enumerate(["eight888", "é" * 8, "x" * 72, "é" * 36, "  spaces  "]):
        email = f"eve{n}@example.org"
        assert (await auth.post("/register", email=email, password=password)).status_code == 201
        assert (await auth.login(email, password)).status_code == 200
        assert (await auth.login(email, password[:-1])).status_code == 401


MALFORMED: list[Any] = [
    {"email": "not an address", "password": PASSWORD},
    {"email": "a@b@c.org", "password": PASSWORD},
    {"email": "x" * 300 + "@example.org", "password": PASSWORD},
    {"email": "eve@example.org"},
    {"password": PASSWORD},
    {"email": "eve@example.org", "password": PASSWORD, "full_name": "x" * 201},
    {"email": "eve@example.org", "password": PASSWORD, "full_name": "a\u0000b"},
    {"email": "eve@example.org\u0000", "password": PASSWORD},
    {"email": ["eve@example.org"], "password": PASSWORD},
    [],
]


HALF = "\\ud83d"
"""Half of a surrogate pair, as JSON can write it and a client's library would not."""


async def test_text_that_no_encoding_can_write_is_refused(auth: Auth, alice: Member) -> None:
    bodies = {
        "/register": f'{{"email": "x{HALF}@example.org", "password": "{PASSWORD}"}}',
        "/register?": f'{{"email": "x@example.org", "password": "{PASSWORD}{HALF}"}}',
        "/register?name": f'{{"email": "x@example.org", "password": "{PASSWORD}",'
        f' "full_name": "{HALF}"}}',
        "/login": f'{{"email": "{alice.email}", "password": "{HALF}"}}',
        "/login?": f'{{"email": "{HALF}", "password": "{PASSWORD}"}}',
        "/refresh": f'{{"refresh_token": "{HALF}"}}',
    }
    for path, body in bodies.items():
        answer = await auth.http.post(f"/api/v1/auth{path}", content=body.encode())
        assert (path, answer.status_code) == (path, 422)
    headers = {"authorization": f"Bearer {alice.access}"}
    for profile in (f'{{"time_zone": "{HALF}"}}', f'{{"consents": {{"{HALF}": true}}}}'):
        answer = await auth.http.put("/api/v1/profile", content=profile.encode(), headers=headers)
        assert answer.status_code == 422


async def test_a_malformed_registration_names_its_fields(auth: Auth) -> None:
    for body in MALFORMED:
        answer = await auth.http.post("/api/v1/auth/register", json=body)
        assert (answer.status_code, answer.json()["code"]) == (422, "request.invalid")
        assert answer.json()["errors"]


async def test_registering_emits_its_event_in_the_same_transaction(
    auth: Auth, alice: Member, owner: Any
) -> None:
    async with asyncio.timeout(5):
        while not (rows := await owner.fetch("select envelope from medbot.queue")):
            await asyncio.sleep(0.05)
    assert len(rows) == 1
    assert "medbot.auth.user.registered.v1" in rows[0]["envelope"]
    assert str(alice.id) in rows[0]["envelope"]
    assert "alice@" not in rows[0]["envelope"]
    refused = await auth.post("/register", email=alice.email, password=PASSWORD)
    assert refused.status_code == 409
    assert await owner.fetchval("select count(*) from medbot.outbox") == 0


async def test_bad_credentials_have_the_same_words_whatever_is_wrong(
    auth: Auth, alice: Member
) -> None:
    answers = [
        await auth.login(email, password)
        for email, password in [
            (alice.email, "wrong password"),
            ("nobody@example.org", PASSWORD),
            ("no address", PASSWORD),
            ("nul\u0000@example.org", PASSWORD),
            (alice.email, ""),
            (alice.email, "x" * 5000),
        ]
    ]
    bodies = {answer.text.replace(answer.headers["x-request-id"], "") for answer in answers}
    assert {answer.status_code for answer in answers} == {401}
    assert len(bodies) == 1
    assert answers[0].json()["code"] == "auth.bad_credentials"


@pytest.mark.parametrize(
    ("path", "field", "beside"),
    [
        ("/login", "password", {"email": "alice@example.org"}),
        ("/refresh", "refresh_token", {}),
        ("/password/reset", "token", {"password": PASSWORD}),
    ],
)
async def test_a_secret_that_nobody_has_is_not_read(
    auth: Auth, path: str, field: str, beside: dict[str, str]
) -> None:
    secret = "x" * 8193
    answer = await auth.post(path, **beside, **{field: secret})
    assert answer.status_code == 422
    problem = answer.json()
    assert problem["code"] == "request.invalid"
    assert [one["field"] for one in problem["errors"]] == [field]
    assert secret not in answer.text


async def test_me_and_validate_describe_the_caller(auth: Auth, alice: Member) -> None:
    me = await auth.get("/api/v1/auth/me", alice.access)
    assert me.status_code == 200
    assert me.json() == alice.user
    valid = await auth.get("/api/v1/auth/validate", alice.access)
    assert valid.json() == {
        "valid": True,
        "user": {"id": str(alice.id), "email": alice.email, "roles": ["patient"]},
    }


async def test_an_access_token_expires_after_an_hour(
    auth: Auth, alice: Member, clock: FixedClock
) -> None:
    clock.advance(seconds=3599)
    assert (await auth.get("/api/v1/auth/validate", alice.access)).status_code == 200
    clock.advance(seconds=1)
    refused = await auth.get("/api/v1/auth/validate", alice.access)
    assert (refused.status_code, refused.json()["code"]) == (401, "auth.invalid_token")


async def test_signing_out_ends_this_session_alone(auth: Auth, alice: Member) -> None:
    other = Member.of((await auth.login(alice.email)).json())
    assert (await auth.post("/logout", alice.access)).status_code == 204
    assert (await auth.get("/api/v1/auth/me", alice.access)).status_code == 401
    assert (await auth.refresh(alice.refresh)).status_code == 401
    assert (await auth.post("/logout", alice.access)).status_code == 401
    assert (await auth.get("/api/v1/auth/me", other.access)).status_code == 200
    assert (await auth.refresh(other.refresh)).status_code == 200


async def test_signing_out_everywhere_ends_every_session(
    auth: Auth, alice: Member, bob: Member
) -> None:
    other = Member.of((await auth.login(alice.email)).json())
    assert (await auth.post("/logout?scope=global", alice.access)).status_code == 204
    for member in (alice, other):
        assert (await auth.get("/api/v1/auth/me", member.access)).status_code == 401
        assert (await auth.refresh(member.refresh)).status_code == 401
    assert (await auth.get("/api/v1/auth/me", bob.access)).status_code == 200
    assert (await auth.post("/logout?scope=others", bob.access)).status_code == 422


async def test_a_sign_out_reaches_the_other_instance_within_five_seconds(
    auth: Auth, second: Auth, alice: Member
) -> None:
    assert (await second.get("/api/v1/profile", alice.access)).status_code == 200
    await auth.post("/logout", alice.access)
    assert (await second.get("/api/v1/auth/validate", alice.access)).status_code == 401
    async with asyncio.timeout(5):
        while (await second.get("/api/v1/profile", alice.access)).status_code != 401:
            await asyncio.sleep(0.1)


async def test_a_sign_in_waits_for_a_change_of_roles_that_is_under_way(
    auth: Auth, owner: Any
) -> None:
    other = await auth.admin()
    async with owner.transaction():
        await owner.execute("select from auth.users where id = $1 for no key update", other.id)
        await owner.execute("delete from public.user_roles where role = 'admin'")
        signing_in = asyncio.create_task(auth.login(other.email))
        await asyncio.wait([signing_in], timeout=0.7)
    member = Member.of((await signing_in).json())
    assert roles_in(member.access) == member.user["roles"] == ["patient"]


def roles_in(token: str) -> list[str]:
    claims = jwt.decode(token, options={"verify_signature": False})
    roles: list[str] = claims["app_metadata"]["roles"]
    return roles


async def test_accounts_are_found_by_address_for_the_command_line(
    auth: Auth, alice: Member
) -> None:
    found = await auth.context.provider.find("ALICE@example.org")
    assert found is not None
    assert found.id == alice.id
    assert await auth.context.provider.find("nobody@example.org") is None


async def test_only_an_admin_sets_roles(auth: Auth, alice: Member, bob: Member) -> None:
    path = f"/api/v1/auth/users/{bob.id}/roles"
    refused = await auth.put(path, alice.access, {"roles": ["admin"]})
    assert (refused.status_code, refused.json()["code"]) == (403, "auth.forbidden")
    own = await auth.put(f"/api/v1/auth/users/{alice.id}/roles", alice.access, {"roles": ["admin"]})
    assert own.status_code == 403
    assert (await auth.put(path, None, {"roles": ["admin"]})).status_code == 401
    admin = await auth.admin()
    answer = await auth.put(path, admin.access, {"roles": ["patient", "staff"]})
    assert answer.status_code == 200
    assert answer.json() == {**bob.user, "roles": ["patient", "staff"]}
    renewed = (await auth.refresh(bob.refresh)).json()
    assert renewed["user"]["roles"] == ["patient", "staff"]
    unverified = jwt.decode(renewed["session"]["access_token"], options={"verify_signature": False})
    assert unverified["app_metadata"]["roles"] == ["patient", "staff"]


async def test_who_loses_a_power_is_signed_out(auth: Auth) -> None:
    first, other = await auth.admin(), await auth.admin()
    path = f"/api/v1/auth/users/{other.id}/roles"
    assert (await auth.put(path, first.access, {"roles": ["patient"]})).status_code == 200
    path = f"/api/v1/auth/users/{first.id}/roles"
    assert (await auth.put(path, other.access, {"roles": ["patient"]})).status_code == 401
    assert (await auth.refresh(other.refresh)).status_code == 401


async def test_unknown_roles_are_refused(auth: Auth, bob: Member) -> None:
    admin = await auth.admin()
    for roles in ([], ["root"], "admin", None, [["admin"]]):
        path = f"/api/v1/auth/users/{bob.id}/roles"
        answer = await auth.put(path, admin.access, {"roles": roles})
        assert (answer.status_code, answer.json()["code"]) == (422, "request.invalid")


async def test_roles_of_nobody_are_not_found(auth: Auth) -> None:
    admin = await auth.admin()
    path = "/api/v1/auth/users/00000000-0000-4000-8000-000000000000/roles"
    assert (await auth.put(path, admin.access, {"roles": ["staff"]})).status_code == 404
