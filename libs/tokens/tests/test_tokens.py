"""Access tokens: what is let in, what is not, and what is remembered."""

import base64
import json
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

import tokens
from kit import identity

START = datetime(2026, 3, 1, 12, tzinfo=UTC)
ALICE = UUID("7f1d2c9a-3f39-4c1c-9a55-2d1d0a5f6a01")
SESSION = UUID("1b0e6c52-8c3a-4f6e-8f1a-9c2b7d3e4f05")
SECRET = "a shared secret of more than thirty-two bytes"


@dataclass
class Clock:
    now: datetime = START

    def __call__(self) -> datetime:
        return self.now

    def advance(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)


@dataclass
class Signer:
    """A key pair with its JWK; `token` signs claims that are right unless told otherwise."""

    private: Any
    algorithm: str
    kid: str
    jwk: dict[str, Any] = field(init=False)

    def __post_init__(self) -> None:
        handler = jwt.get_algorithm_by_name(self.algorithm)
        public: dict[str, Any] = json.loads(handler.to_jwk(self.private.public_key()))
        public.pop("key_ops", None)
        self.jwk = {**public, "kid": self.kid, "use": "sig", "alg": self.algorithm}

    def token(self, headers: dict[str, Any] | None = None, **changes: Any) -> str:
        claims = {name: value for name, value in (right() | changes).items() if value is not None}
        chosen = {"kid": self.kid} | (headers or {})
        named = {name: value for name, value in chosen.items() if value is not None}
        payload = json.dumps(claims).encode()
        return jwt.PyJWS().encode(payload, self.private, algorithm=self.algorithm, headers=named)


def right() -> dict[str, Any]:
    issued = int(START.timestamp())
    return {
        "sub": str(ALICE), "email": "alice@example.org", "role": "authenticated",
        "aud": "authenticated", "iat": issued, "exp": issued + 3600,
        "session_id": str(SESSION), "app_metadata": {"roles": ["patient", "staff"]},
    }  # fmt: skip


EC = Signer(ec.generate_private_key(ec.SECP256R1()), "ES256", "ec-1")
OTHER = Signer(ec.generate_private_key(ec.SECP256R1()), "ES256", "ec-1")
RSA = Signer(rsa.generate_private_key(65537, 2048), "RS256", "rsa-1")
ED = Signer(ed25519.Ed25519PrivateKey.generate(), "EdDSA", "ed-1")


def verifier(*signers: Signer, clock: Clock | None = None, **options: Any) -> tokens.Verifier:
    keys = tokens.LocalKeys(lambda: {"keys": [signer.jwk for signer in signers or (EC,)]})
    return tokens.Verifier(keys, clock=clock or Clock(), **options)


def raw(header: dict[str, Any], claims: dict[str, Any], signature: bytes = b"") -> str:
    parts = [json.dumps(header).encode(), json.dumps(claims).encode(), signature]
    return ".".join(base64.urlsafe_b64encode(part).rstrip(b"=").decode() for part in parts)


def public_pem(signer: Signer) -> bytes:
    pem: bytes = signer.private.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return pem


def hmac_signed(secret: bytes, header: dict[str, Any], claims: dict[str, Any]) -> str:
    unsigned = raw(header, claims).rpartition(".")[0]
    signature = jwt.get_algorithm_by_name("HS256").sign(unsigned.encode(), secret)
    return f"{unsigned}.{base64.urlsafe_b64encode(signature).rstrip(b'=').decode()}"


@pytest.mark.parametrize("signer", [EC, RSA, ED], ids=lambda signer: signer.algorithm)
async def test_a_right_token_becomes_its_person(signer: Signer) -> None:
    token = signer.token()
    actor = await verifier(EC, RSA, ED).verify(token)
    assert actor == identity.Actor(
        ALICE, "person", frozenset({identity.Role.PATIENT, identity.Role.STAFF}),
        "alice@example.org", SESSION,
    )  # fmt: skip
    assert actor.token == token
    assert token not in repr(actor)
    assert "alice@example.org" not in repr(actor)


WRONG: dict[str, str] = {
    "no token": "",
    "not a token": "abc",
    "three empty parts": "..",
    "not ascii": "é.ü.ß",
    "too long": EC.token(padding="x" * 9000),
    "none algorithm": raw({"alg": "none", "typ": "JWT", "kid": "ec-1"}, right()),
    "none in capitals": raw({"alg": "NONE", "kid": "ec-1"}, right()),
    "no algorithm": raw({"kid": "ec-1"}, right(), b"x" * 64),
    "empty signature": EC.token().rpartition(".")[0] + ".",
    "zero signature": raw({"alg": "ES256", "kid": "ec-1"}, right(), bytes(64)),
    "wrong key": OTHER.token(),
    "public key as secret": hmac_signed(
        public_pem(EC), {"alg": "HS256", "kid": "ec-1", "typ": "JWT"}, right()
    ),
    "jwk coordinates as secret": hmac_signed(
        base64.urlsafe_b64decode(EC.jwk["x"] + "=="), {"alg": "HS256", "kid": "ec-1"}, right()
    ),
    "other family's algorithm": RSA.token(headers={"kid": "ec-1"}),
    "algorithm is a list": raw({"alg": ["ES256"], "kid": "ec-1"}, right(), b"x" * 64),
    "header no object": raw([], right(), b"x" * 64),  # type: ignore[arg-type]
    "header nested without end": "W1tb" * 2000 + ".e30.eA",
    "header with signs between": EC.token().replace(".", "\n.", 1),
    "algorithm not admitted": jwt.encode(
        right(), RSA.private, algorithm="PS256", headers={"kid": "rsa-1"}
    ),
    "key in the header": OTHER.token(headers={"jwk": OTHER.jwk}),
    "address in the header": OTHER.token(headers={"jku": "https://evil.example/jwks.json"}),
    "critical extension": EC.token(headers={"crit": ["x"], "x": 1}),
    "kid unknown": EC.token(headers={"kid": "ec-2"}),
    "kid empty": EC.token(headers={"kid": ""}),
    "kid is a path": EC.token(headers={"kid": "../../dev/null"}),
    "kid is a query": EC.token(headers={"kid": "' or 1=1 --"}),
    "kid is a number": raw({"alg": "ES256", "kid": 1}, right(), b"x" * 64),
    "kid is a list": raw({"alg": "ES256", "kid": ["ec-1"]}, right(), b"x" * 64),
    "wrong audience": EC.token(aud="clinic"),
    "audience of another kind": EC.token(aud={"authenticated": 1}),
    "no audience": EC.token(aud=None),
    "expired": EC.token(exp=int(START.timestamp())),
    "no expiry": EC.token(exp=None),
    "expiry in words": EC.token(exp="tomorrow"),
    "expiry true": EC.token(exp=True),
    "expiry infinite": EC.token(exp=float("inf")),
    "expiry absurd": EC.token(exp=10**400),
    "issued later": EC.token(iat=int(START.timestamp()) + 60),
    "not yet": EC.token(nbf=int(START.timestamp()) + 60),
    "no subject": EC.token(sub=None),
    "subject no uuid": EC.token(sub="admin"),
    "session no uuid": EC.token(session_id="1"),
    "service_role": EC.token(role="service_role"),
    "service token": tokens.service_token(SECRET, caller="voice", audience="auth", now=START),
    "typed as a service's": EC.token(headers={"typ": "service+jwt"}),
    "claims no object": jwt.PyJWS().encode(
        b"[]", EC.private, algorithm="ES256", headers={"kid": "ec-1"}
    ),
    "claims no JSON": jwt.PyJWS().encode(
        b"{", EC.private, algorithm="ES256", headers={"kid": "ec-1"}
    ),
    "claims nested without end": jwt.PyJWS().encode(
        b"[" * 4000, EC.private, algorithm="ES256", headers={"kid": "ec-1"}
    ),
}


@pytest.mark.parametrize("case", WRONG)
@pytest.mark.parametrize("shared", [None, SECRET], ids=["keys", "keys and secret"])
async def test_a_wrong_token_is_refused_with_one_sentence(case: str, shared: str | None) -> None:
    checked = verifier(EC, RSA, shared_secret=shared)
    with pytest.raises(tokens.InvalidToken) as refused:
        await checked.verify(WRONG[case])
    assert refused.value.code == "auth.invalid_token"
    assert refused.value.message == "The access token is missing, expired or not valid."
    assert checked.cached(WRONG[case]) is None


async def test_a_token_without_kid_needs_a_single_key() -> None:
    token = EC.token(headers={"kid": None})
    assert (await verifier(EC).verify(token)).id == ALICE
    with pytest.raises(tokens.InvalidToken):
        await verifier(EC, RSA).verify(token)


async def test_clocks_may_differ_by_ten_seconds_at_the_start_but_not_at_the_end() -> None:
    soon = int(START.timestamp()) + 9
    assert (await verifier().verify(EC.token(iat=soon, nbf=soon))).id == ALICE
    clock = Clock()
    checked, token = verifier(clock=clock), EC.token()
    await checked.verify(token)
    clock.advance(3599)
    assert checked.cached(token) is not None
    clock.advance(1)
    assert checked.cached(token) is None
    with pytest.raises(tokens.InvalidToken):
        await checked.verify(token)


async def test_the_issuer_is_checked_where_one_is_configured() -> None:
    checked = verifier(issuer="https://medbot.example/auth/v1")
    assert await checked.verify(EC.token(iss="https://medbot.example/auth/v1"))
    for token in (EC.token(), EC.token(iss="https://evil.example")):
        with pytest.raises(tokens.InvalidToken):
            await checked.verify(token)


async def test_a_shared_secret_admits_hs256_and_only_that_secret() -> None:
    checked = verifier(shared_secret=SECRET)
    assert (await checked.verify(jwt.encode(right(), SECRET, algorithm="HS256"))).id == ALICE
    for forged in (
        jwt.encode(right(), SECRET + ".", algorithm="HS256"),
        jwt.encode(right(), SECRET + "x" * 20, algorithm="HS512"),
    ):
        with pytest.raises(tokens.InvalidToken):
            await checked.verify(forged)
    with pytest.raises(ValueError, match="32 bytes"):
        verifier(shared_secret="short")


@pytest.mark.parametrize(
    ("metadata", "roles"),
    [
        (None, {"patient"}),
        ({}, {"patient"}),
        ({"roles": "admin"}, {"patient"}),
        ({"roles": ["admin", "root", 3, {}]}, {"admin"}),
        ({"roles": []}, set()),
    ],
)
async def test_roles_come_from_app_metadata_alone(metadata: Any, roles: set[str]) -> None:
    token = EC.token(app_metadata=metadata, user_metadata={"roles": ["admin"]})
    assert (await verifier().verify(token)).roles == roles


async def test_an_anonymous_user_of_supabase_is_a_guest() -> None:
    assert (await verifier().verify(EC.token(is_anonymous=True))).kind == "guest"


async def test_verified_tokens_are_remembered_up_to_a_bound() -> None:
    checked = verifier(size=2)
    first, second, third = (EC.token(n=n) for n in range(3))
    actor = await checked.verify(first)
    assert checked.cached(first) is actor
    await checked.verify(second)
    await checked.verify(third)
    assert [checked.cached(token) is not None for token in (first, second, third)] == [
        False, True, True,
    ]  # fmt: skip


async def test_tokens_of_an_ended_session_are_refused_until_they_expire() -> None:
    clock = Clock()
    checked, token, other = verifier(clock=clock), EC.token(), EC.token(session_id=str(ALICE))
    await checked.verify(token)
    checked.ended([SESSION])
    assert checked.cached(token) is None
    for minutes in (0, 30, 29):
        clock.advance(minutes * 60)
        checked.ended([])
        with pytest.raises(tokens.InvalidToken):
            await checked.verify(token)
        assert (await checked.verify(other)).session_id == ALICE


def test_claims_are_what_the_policies_read() -> None:
    person = identity.Actor.of_person(ALICE, roles=[identity.Role.ADMIN], session_id=SESSION)
    assert json.loads(person.claims()) == {
        "sub": str(ALICE), "role": "authenticated", "session_id": str(SESSION),
        "app_metadata": {"roles": ["admin"]},
    }  # fmt: skip
    service = identity.Actor.of_service("voice", acting_for=ALICE)
    assert json.loads(service.claims()) == {
        "sub": str(ALICE), "role": "service", "service": "voice", "app_metadata": {"roles": []},
    }  # fmt: skip
    assert "sub" not in json.loads(identity.Actor.of_service("relay").claims())
    assert json.loads(identity.Actor(ALICE, "guest").claims())["role"] == "anon"
