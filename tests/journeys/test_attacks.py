"""Forged, old and misplaced tokens at the gateway and at every service's own door: all are 401."""

import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest
from conversing import Person
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from forging import Forger
from installation import Installation, newcomer

import tokens

pytestmark = pytest.mark.journey

SOMETHING = str(uuid.uuid4())

OF_AUTH = [
    ("GET", "/api/v1/auth/me"),
    ("GET", "/api/v1/auth/validate"),
    ("POST", "/api/v1/auth/logout"),
    ("PUT", f"/api/v1/auth/users/{SOMETHING}/roles"),
    ("GET", "/api/v1/profile"),
    ("PUT", "/api/v1/profile"),
]
OF_CONVERSATION = [
    ("GET", "/api/v1/conversations"),
    ("POST", "/api/v1/conversations"),
    ("DELETE", f"/api/v1/conversations/{SOMETHING}"),
    ("POST", f"/api/v1/conversations/{SOMETHING}/messages"),
    ("GET", f"/api/v1/conversations/{SOMETHING}/messages/{SOMETHING}/stream"),
    ("GET", "/api/v1/events"),
    ("GET", "/api/v1/library/stats"),
]
DOORS = {
    "gateway": [*OF_AUTH, *OF_CONVERSATION],
    "auth": OF_AUTH,
    "conversation": OF_CONVERSATION,
}


@dataclass
class Scene:
    """A victim, what an attacker may know, and a client without any token."""

    house: Installation
    victim: Person
    forger: Forger
    http: httpx.AsyncClient

    async def refused(self, name: str, **sent: Any) -> None:
        """Every door says 401, and only that."""
        for service, routes in DOORS.items():
            for method, path in routes:
                url = self.house.url_of(service) + path
                answer = await self.http.request(method, url, **sent)
                what = (name, service, method, path)
                assert (*what, answer.status_code) == (*what, 401)
                assert (*what, answer.json()["code"]) == (*what, "auth.invalid_token")
                assert answer.headers["content-type"] == "application/problem+json"
                assert answer.headers["www-authenticate"] == "Bearer"


@pytest.fixture
async def scene(anyhow: Installation) -> AsyncIterator[Scene]:
    (row,) = await anyhow.rows("select kid, private_pem from medbot.signing_keys where active")
    key = serialization.load_pem_private_key(row["private_pem"].encode(), password=None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    secret = (anyhow.data_dir / "service-token.key").read_text().strip()
    async with (
        newcomer(anyhow.url) as victim,
        httpx.AsyncClient(timeout=10, trust_env=False) as http,
    ):
        good = victim.http.headers["authorization"].removeprefix("Bearer ")
        yield Scene(anyhow, victim, Forger(good, key, row["kid"], secret), http)


async def test_what_the_forger_signs_right_is_let_in(scene: Scene) -> None:
    """Else the tests below would show nothing."""
    token = scene.forger.signed(scene.forger.claims)
    for service, routes in DOORS.items():
        for method, path in routes:
            if method == "GET" and path != "/api/v1/events" and SOMETHING not in path:
                url = scene.house.url_of(service) + path
                answer = await scene.http.get(url, headers={"authorization": f"Bearer {token}"})
                assert (service, path, answer.status_code) == (service, path, 200)


@pytest.mark.parametrize(
    "kind",
    ["unsigned", "of_other_keys", "of_secrets", "of_headers", "of_claims", "of_services"],
)
async def test_a_forged_token_opens_no_door(scene: Scene, kind: str) -> None:
    forged: dict[str, str] = getattr(scene.forger, kind)()
    for name, token in forged.items():
        await scene.refused(name, headers={"authorization": f"Bearer {token}"})
    me = await scene.victim.http.get("/api/v1/auth/me")
    assert me.json()["roles"] == ["patient"], "the victim is still signed in and no admin"
    assert (await scene.victim.http.get("/api/v1/conversations")).json()["items"] == []


async def test_headers_that_claim_an_identity_are_worth_nothing(scene: Scene) -> None:
    victim, good = scene.forger.claims["sub"], scene.forger.good
    for headers in (
        {},
        {"x-user-id": victim, "x-user": victim, "x-user-email": "a@example.org"},
        {"x-user-roles": "admin", "x-roles": "admin", "x-admin": "true", "x-user-id": victim},
        {"x-forwarded-user": victim, "x-remote-user": victim, "remote-user": victim},
        {"x-auth-request-user": victim, "x-authenticated-userid": victim, "x-actor": victim},
        {"x-service": "auth", "x-internal": "true", "x-medbot-actor": victim},
        {"x-forwarded-for": "127.0.0.1", "x-real-ip": "127.0.0.1", "x-original-url": "/health"},
        {"x-authorization": f"Bearer {good}", "proxy-authorization": f"Bearer {good}"},
        {
            "x-access-token": good,
            "x-jwt-claims": "{}",
            "request.jwt.claims": f'{{"sub":"{victim}"}}',
        },
        {"cookie": f"access_token={good}; authorization=Bearer {good}; sb-access-token={good}"},
        {"authorization": f"Basic {good}"},
        {"authorization": f"Token {good}"},
        {"authorization": good},
        {"authorization": f"Bearer: {good}"},
        {"authorization": f"Bearer {good}, Bearer {good}"},
        {"authorization": "Bearer"},
    ):
        await scene.refused(", ".join(headers), headers=headers)
    await scene.refused("query", params={"token": good, "access_token": good, "user_id": victim})


async def test_two_tokens_at_once_are_refused(scene: Scene) -> None:
    thief = scene.forger.of_other_keys()["wrong key"]
    for pair in ((scene.forger.good, thief), (thief, scene.forger.good)):
        headers = [("authorization", f"Bearer {token}") for token in pair]
        for service, routes in DOORS.items():
            url = scene.house.url_of(service) + routes[0][1]
            answer = await scene.http.get(url, headers=headers)
            assert answer.status_code in {400, 401}, service


async def test_what_services_ask_each_other_is_not_for_people(scene: Scene) -> None:
    inside = scene.house.url_of("auth") + "/internal/sessions/ended"

    def service(audience: str, secret: str = scene.forger.service_secret) -> str:
        return tokens.service_token(
            secret, caller="gateway", audience=audience, now=datetime.now(UTC)
        )

    async def status(url: str, token: str) -> int:
        answer = await scene.http.get(url, headers={"authorization": f"Bearer {token}"})
        return answer.status_code

    assert await status(inside, service("auth")) == 200
    for token in (
        scene.forger.good,
        scene.forger.signed(scene.forger.claims),
        scene.forger.signed(scene.forger.claims, typ=tokens.SERVICE_TYPE),
        service("conversation"),
        service("auth", "another secret, just as long as it must be"),
    ):
        assert await status(inside, token) == 401
    outside = scene.house.url + "/internal/sessions/ended"
    for token in (service("auth"), service("gateway"), scene.forger.good):
        assert await status(outside, token) == 404
