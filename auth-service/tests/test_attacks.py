"""Forged and foreign tokens at every door of this service, and headers that claim an identity."""

import base64
import json
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from fastapi.routing import APIRoute, iter_route_contexts

import tokens
from auth_service import main
from auth_service.testing import SERVICE_SECRET, Auth, Member
from kit.testing import FixedClock
from tokens.guards import unguarded

NOW = int(datetime(2030, 1, 1, 12, tzinfo=UTC).timestamp())
THIEF = ec.generate_private_key(ec.SECP256R1())
SOMEBODY = "7f1d2c9a-3f39-4c1c-9a55-2d1d0a5f6a01"

GUARDED = [
    ("GET", "/api/v1/auth/me"),
    ("GET", "/api/v1/auth/validate"),
    ("POST", "/api/v1/auth/logout"),
    ("GET", "/api/v1/profile"),
    ("PUT", "/api/v1/profile"),
    ("PUT", f"/api/v1/auth/users/{SOMEBODY}/roles"),
    ("GET", "/api/v1/profile/consents"),
    ("GET", "/api/v1/auth/me/export"),
    ("DELETE", "/api/v1/auth/me"),
    ("GET", "/api/v1/auth/sessions"),
    ("DELETE", f"/api/v1/auth/sessions/{SOMEBODY}"),
    ("POST", "/api/v1/auth/password"),
    ("POST", "/api/v1/auth/guest/join"),
]
PUBLIC = {
    "/health", "/ready", "/metrics", "/.well-known/jwks.json", "/api/v1/auth/register",
    "/api/v1/auth/login",
    "/api/v1/auth/refresh", "/api/v1/auth/verify", "/api/v1/auth/password/forgot",
    "/api/v1/auth/password/reset", "/api/v1/auth/guest", "/api/v1/auth/erasures/{erasure_id}",
}  # fmt: skip


def test_every_route_is_guarded_or_public() -> None:
    assert list(unguarded(main.app)) == []
    every = [
        route for route in iter_route_contexts(main.app.routes)
        if isinstance(route.original_route, APIRoute)
    ]  # fmt: skip
    public = {route.path for route in every if (route.openapi_extra or {}).get("security") == []}
    assert public == PUBLIC
    rest = {
        (method, str(route.path)) for route in every for method in route.methods or ()
        if route.path not in public and not str(route.path).startswith("/api/v1/admin/")
    }  # fmt: skip
    guarded = {
        (method, path.replace(f"sessions/{SOMEBODY}", "sessions/{session_id}"))
        for method, path in GUARDED
    }
    guarded = {(method, path.replace(SOMEBODY, "{user_id}")) for method, path in guarded}
    internal = {("GET", "/internal/sessions/ended"), ("POST", "/internal/people/sighted")}
    assert rest == guarded | internal


def claims_of(member: Member, **changes: Any) -> dict[str, Any]:
    claims: dict[str, Any] = jwt.decode(member.access, options={"verify_signature": False})
    return claims | changes


def hmac_signed(secret: bytes, header: dict[str, Any], claims: dict[str, Any]) -> str:
    parts = [json.dumps(part).encode() for part in (header, claims)]
    unsigned = b".".join(base64.urlsafe_b64encode(part).rstrip(b"=") for part in parts)
    signature = jwt.get_algorithm_by_name("HS256").sign(unsigned, secret)
    return (unsigned + b"." + base64.urlsafe_b64encode(signature).rstrip(b"=")).decode()


async def forgeries(auth: Auth, alice: Member) -> dict[str, str]:
    key = (await auth.get("/.well-known/jwks.json")).json()["keys"][0]
    kid, claims = key["kid"], claims_of(alice)
    admin = claims_of(alice, app_metadata={"roles": ["admin"]})
    head, body, signature = alice.access.split(".")
    altered = base64.urlsafe_b64encode(json.dumps(admin).encode()).rstrip(b"=").decode()
    pem = jwt.PyJWK.from_dict(key).key.public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    signer = auth.context.provider.signer  # type: ignore[attr-defined]

    def stolen(headers: dict[str, Any]) -> str:
        return jwt.encode(admin, THIEF, "ES256", headers=headers)

    return {
        "garbage": "abc.def.ghi",
        "none": jwt.encode(admin, "", "none", headers={"kid": kid}),
        "unsigned": f"{head}.{body}.",
        "altered": f"{head}.{altered}.{signature}",
        "wrong key": stolen({"kid": kid}),
        "own key in header": stolen({"kid": kid, "jwk": {"kty": "EC"}}),
        "kid unknown": stolen({"kid": "thief"}),
        "kid missing, wrong key": stolen({}),
        "kid traversal": stolen({"kid": "../../../dev/null"}),
        "public key as secret": hmac_signed(pem, {"alg": "HS256", "kid": kid}, admin),
        "empty secret": hmac_signed(b"", {"alg": "HS256", "kid": kid}, admin),
        "service secret": jwt.encode(admin, SERVICE_SECRET, "HS256", headers={"kid": kid}),
        "wrong audience": signer.sign(claims | {"aud": "clinic"}),
        "wrong issuer": signer.sign(claims | {"iss": "https://evil.example"}),
        "expired": signer.sign(claims | {"exp": NOW}),
        "not yet": signer.sign(claims | {"nbf": NOW + 60}),
        "without expiry": signer.sign({k: v for k, v in claims.items() if k != "exp"}),
        "service role": signer.sign(claims | {"role": "service_role"}),
        "service token": tokens.service_token(
            SERVICE_SECRET, caller="voice", audience="auth", now=auth.context.clock()
        ),
        "too long": signer.sign(claims | {"padding": "x" * 20_000}),
    }  # fmt: skip


async def test_forged_tokens_open_no_door(auth: Auth, alice: Member) -> None:
    forged = await forgeries(auth, alice)
    for method, path in GUARDED:
        for name, token in forged.items():
            headers = {"authorization": f"Bearer {token}"}
            answer = await auth.http.request(method, path, headers=headers)
            assert (name, path, answer.status_code) == (name, path, 401)
            assert answer.json()["code"] == "auth.invalid_token"
            assert answer.headers["www-authenticate"] == "Bearer"
    assert (await auth.get("/api/v1/auth/me", alice.access)).status_code == 200


async def test_headers_that_claim_an_identity_are_worth_nothing(auth: Auth, alice: Member) -> None:
    claimed = {
        "x-user-id": str(alice.id), "x-user-email": alice.email, "x-user-roles": "admin",
        "x-forwarded-user": str(alice.id), "x-medbot-actor": str(alice.id), "remote-user": "admin",
        "x-service": "voice", "cookie": f"access_token={alice.access}",
        "x-authorization": f"Bearer {alice.access}",
    }  # fmt: skip
    for method, path in GUARDED:
        answer = await auth.http.request(method, path, headers=claimed)
        assert (path, answer.status_code) == (path, 401)


async def test_the_authorization_header_has_one_form(auth: Auth, alice: Member) -> None:
    for form in ("{}", "Basic {}", "Bearer", "Token {}", "Bearer {} x", "Bearer {}, Bearer {}"):
        headers = {"authorization": form.format(alice.access, alice.access)}
        answer = await auth.http.get("/api/v1/auth/me", headers=headers)
        assert (form, answer.status_code) == (form, 401)
    twice = [("authorization", f"Bearer {alice.access}")] * 2
    assert (await auth.http.get("/api/v1/auth/me", headers=twice)).status_code == 401


async def ended(auth: Auth, token: str | None, after: str = "0") -> Any:
    return await auth.get(f"/internal/sessions/ended?after={after}", token)


async def test_only_services_hear_of_ended_sessions(
    auth: Auth, alice: Member, clock: FixedClock
) -> None:
    def service(**changes: Any) -> str:
        options: dict[str, Any] = {"caller": "voice", "audience": "auth", "now": clock()}
        return tokens.service_token(SERVICE_SECRET, **(options | changes))

    assert (await ended(auth, service())).json() == {"session_ids": [], "cursor": 0, "more": False}
    admin = await auth.admin()
    late = service()
    clock.advance(seconds=60)
    for token in (None, alice.access, admin.access, service(audience="clinic"), late):
        assert (await ended(auth, token)).status_code == 401
    forged = tokens.service_token("x" * 40, caller="voice", audience="auth", now=clock())
    assert (await ended(auth, forged)).status_code == 401


async def test_ended_sessions_are_told_once_and_in_order(
    auth: Auth, second: Auth, clock: FixedClock
) -> None:
    members = [await auth.register() for _ in range(4)]
    token = tokens.service_token(SERVICE_SECRET, caller="voice", audience="auth", now=clock())
    for member in members[:2]:
        await auth.post("/logout", member.access)
    first = (await ended(second, token)).json()
    sessions = [claims_of(member)["session_id"] for member in members]
    assert first["session_ids"] == sessions[:2]
    for member in members[2:]:
        await second.post("/logout", member.access)
    rest = (await ended(auth, token, first["cursor"])).json()
    assert rest["session_ids"] == sessions[2:]
    assert (await ended(auth, token, rest["cursor"])).json()["session_ids"] == []
    for wrong in ("-1", "x", str(2**63)):
        assert (await ended(auth, token, wrong)).status_code == 422


async def test_a_token_of_a_person_who_is_gone_says_nothing(
    auth: Auth, alice: Member, owner: Any
) -> None:
    await owner.execute("delete from auth.users where id = $1", alice.id)
    assert (await auth.get("/api/v1/auth/me", alice.access)).status_code == 401
    assert (await auth.get("/api/v1/auth/validate", alice.access)).status_code == 401
    assert (await auth.refresh(alice.refresh)).status_code == 401
    stranger = auth.context.provider.signer.sign(claims_of(alice, sub=str(uuid4())))  # type: ignore[attr-defined]
    assert (await auth.get("/api/v1/auth/me", stranger)).status_code == 401
