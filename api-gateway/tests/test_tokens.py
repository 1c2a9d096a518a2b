"""Who is let in: a matrix of forged, old and misplaced tokens, none of which reaches a service."""

import base64
import json
import time
from typing import Any
from uuid import uuid4

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

import tokens
from api_gateway.testing import Door, OpenDoor
from kit.database import utc_now
from kit.testing.issuing import KID, SERVICE_SECRET, Issuer

PATH = "/api/v1/conversations"


def claims(**changes: Any) -> dict[str, Any]:
    now = int(time.time())
    right = {
        "sub": str(uuid4()), "email": "alice@example.org", "role": "authenticated",
        "aud": "authenticated", "iat": now, "exp": now + 600, "session_id": str(uuid4()),
        "app_metadata": {"roles": ["patient"]},
    }  # fmt: skip
    return {name: value for name, value in (right | changes).items() if value is not None}


def unsigned(header: dict[str, Any], body: dict[str, Any], signature: bytes = b"") -> str:
    parts = (json.dumps(header).encode(), json.dumps(body).encode(), signature)
    return ".".join(base64.urlsafe_b64encode(part).decode().rstrip("=") for part in parts)


def hmac_signed(secret: bytes, header: dict[str, Any]) -> str:
    """Signs by hand, since a library refuses a public key as a secret."""
    head = unsigned(header, claims()).rpartition(".")[0]
    algorithm = jwt.algorithms.HMACAlgorithm(jwt.algorithms.HMACAlgorithm.SHA256)
    mark = base64.urlsafe_b64encode(algorithm.sign(head.encode(), secret)).decode().rstrip("=")
    return f"{head}.{mark}"


def forged(issuer: Issuer) -> dict[str, str]:
    """A token for each way in that must be shut."""
    other = ec.generate_private_key(ec.SECP256R1())
    public = issuer.key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    jwk = json.loads(jwt.algorithms.ECAlgorithm.to_jwk(other.public_key()))
    now = int(time.time())
    other_key: dict[str, Any] = {"key": other, "algorithm": "ES256"}
    good = issuer.sign(claims())
    head, body, signature = good.split(".")
    other_body = unsigned({}, claims(sub=str(uuid4()))).split(".")[1]
    return {
        "empty": "",
        "words": "not a token at all",
        "two parts": f"{head}.{body}",
        "none": unsigned({"alg": "none", "typ": "JWT", "kid": KID}, claims()),
        "None": unsigned({"alg": "None", "kid": KID}, claims()),
        "none, signed": unsigned({"alg": "none", "kid": KID}, claims(), b"x"),
        "no signature": f"{head}.{body}.",
        "cut signature": good[:-4],
        "other body": f"{head}.{other_body}.{signature}",
        "wrong key": jwt.encode(claims(), **other_key, headers={"kid": KID}),
        "wrong key, no kid": jwt.encode(claims(), **other_key),
        "wrong kind of key": jwt.encode(
            claims(), rsa.generate_private_key(65537, 2048), "RS256", headers={"kid": KID}
        ),
        "public key as secret": hmac_signed(public, {"alg": "HS256", "typ": "JWT", "kid": KID}),
        "public key as secret, no kid": hmac_signed(public, {"alg": "HS256", "typ": "JWT"}),
        "empty secret": hmac_signed(b"", {"alg": "HS256", "kid": KID}),
        "service secret": hmac_signed(SERVICE_SECRET.encode(), {"alg": "HS256", "typ": "JWT"}),
        "own key inside": jwt.encode(claims(), **other_key, headers={"jwk": jwk, "kid": KID}),
        "own key's address": jwt.encode(
            claims(), **other_key, headers={"jku": "http://127.0.0.1/keys", "kid": "mine"}
        ),
        "kid of a file": jwt.encode(claims(), **other_key, headers={"kid": "../../dev/null"}),
        "kid of a query": jwt.encode(claims(), **other_key, headers={"kid": f"{KID}' or '1'='1"}),
        "kid that is none": unsigned({"alg": "ES256", "kid": None}, claims(), b"x" * 64),
        "kid that is a list": unsigned({"alg": "ES256", "kid": [KID]}, claims(), b"x" * 64),
        "wrong audience": issuer.sign(claims(aud="anon")),
        "no audience": issuer.sign(claims(aud=None)),
        "service role": issuer.sign(claims(role="service_role")),
        "expired": issuer.sign(claims(exp=now - 1, iat=now - 900)),
        "no expiry": issuer.sign(claims(exp=None)),
        "not yet": issuer.sign(claims(nbf=now + 600)),
        "nobody": issuer.sign(claims(sub=None)),
        "not an id": issuer.sign(claims(sub="alice")),
        "service token": tokens.service_token(
            SERVICE_SECRET, caller="conversation", audience="gateway", now=utc_now()
        ),
        "service token for a person": tokens.service_token(
            SERVICE_SECRET, caller="voice", audience="authenticated", now=utc_now(), person=uuid4()
        ),
        "too long": issuer.sign(claims(app_metadata={"roles": ["x" * 9000]})),
    }


async def test_no_forged_token_reaches_a_service(door: Door, issuer: Issuer) -> None:
    door.client.headers.pop("authorization")
    for name, token in forged(issuer).items():
        answer = await door.client.get(PATH, headers={"authorization": f"Bearer {token}".strip()})
        assert (answer.status_code, answer.json()["code"]) == (401, "auth.invalid_token"), name
        assert answer.headers["www-authenticate"] == "Bearer"
        assert answer.headers["content-type"] == "application/problem+json"
    assert door.service.asked == []


@pytest.mark.parametrize("scheme", ["Basic", "Token", "Bearer:"])
async def test_other_schemes_do_not_count(door: Door, scheme: str) -> None:
    answer = await door.client.get(PATH, headers={"authorization": f"{scheme} {door.token}"})
    assert answer.status_code == 401


async def test_a_token_elsewhere_does_not_count(door: Door) -> None:
    door.client.headers.pop("authorization")
    everywhere: list[dict[str, Any]] = [
        {"params": {"token": door.token, "access_token": door.token}},
        {"headers": {"cookie": f"access_token={door.token}; authorization=Bearer {door.token}"}},
        {"headers": {"x-user-id": str(uuid4()), "x-forwarded-user": "alice"}},
        {"headers": {"x-authorization": f"Bearer {door.token}"}},
        {},
    ]
    for sent in everywhere:
        assert (await door.client.get(PATH, **sent)).status_code == 401
    assert door.service.asked == []


async def test_a_good_token_goes_on_untouched(door: Door) -> None:
    for scheme in ("Bearer", "bearer"):
        value = f"{scheme} {door.token}"
        assert (await door.client.get(PATH, headers={"authorization": value})).status_code == 200
        assert door.service.asked[-1].headers["authorization"] == value


async def test_a_token_ends_with_its_session(open_door: OpenDoor, issuer: Issuer) -> None:
    door = await open_door()
    session = uuid4()
    sent = {"authorization": f"Bearer {issuer.sign(claims(session_id=str(session)))}"}
    assert (await door.client.get(PATH, headers=sent)).status_code == 200
    issuer.end(session)
    deadline = time.monotonic() + 5
    while (await door.client.get(PATH, headers=sent)).status_code == 200:
        assert time.monotonic() < deadline
    assert (await door.client.get(PATH)).status_code == 200


async def test_a_token_ends_when_it_expires(door: Door, issuer: Issuer) -> None:
    now = int(time.time())
    sent = {"authorization": f"Bearer {issuer.sign(claims(exp=now + 2))}"}
    assert (await door.client.get(PATH, headers=sent)).status_code == 200
    while time.time() < now + 2:
        await door.client.get(PATH, headers=sent)
    assert (await door.client.get(PATH, headers=sent)).status_code == 401


async def test_public_calls_need_no_token_and_everything_else_does(
    open_door: OpenDoor, issuer: Issuer
) -> None:
    door = await open_door()
    door.client.headers.pop("authorization")
    public = await door.client.get("/.well-known/jwks.json")
    assert public.json()["keys"][0]["kid"] == KID
    for path in (
        "/api/v1/auth/me", "/api/v1/auth/validate", "/api/v1/auth/sessions", "/api/v1/profile",
        "/api/v1/events", "/api/v1/library/search", "/api/v1/voice/session", "/token", "/session",
        "/api/appointments", "/api/v1/orders/ORD-00001", "/api/v1/auth/login/x",
    ):  # fmt: skip
        assert (await door.client.get(path)).status_code == 401, path
    assert (await door.client.post("/api/v1/auth/%6cogin")).status_code == 400


async def test_without_keys_the_gateway_says_that_it_cannot_tell(
    open_door: OpenDoor, unused_port: int
) -> None:
    door = await open_door(auth_service_url=f"http://127.0.0.1:{unused_port}")
    answer = await door.client.get(PATH)
    assert (answer.status_code, answer.json()["code"]) == (503, "service.unavailable")
    assert "retry-after" in answer.headers
