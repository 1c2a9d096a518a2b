"""The key that signs access tokens: made at the first start, kept in the database."""

import base64
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from kit.database import Tx

ALGORITHM = "ES256"


@dataclass(frozen=True, slots=True)
class Signer:
    """Signs with one key; `jwks` names every key whose tokens may still be about."""

    kid: str
    jwks: Mapping[str, Any]
    private: ec.EllipticCurvePrivateKey = field(repr=False)

    def sign(self, claims: Mapping[str, Any], *, kind: str = "JWT") -> str:
        """A JWT of `claims`; `kind` is its `typ`, by which verifiers tell tokens from papers."""
        headers = {"kid": self.kid, "typ": kind}
        return jwt.encode(dict(claims), self.private, ALGORITHM, headers=headers)


async def open_signer(tx: Tx, *, now: datetime) -> Signer:
    """The signer of this installation; of instances that start at once, one makes its key."""
    active = await tx.fetchrow("select kid, private_pem from medbot.signing_keys where active")
    if active is None:
        await _offer(tx, now)
        active = await tx.fetchrow("select kid, private_pem from medbot.signing_keys where active")
    assert active is not None
    rows = await tx.fetch("select public_jwk from medbot.signing_keys order by created_at desc")
    private = serialization.load_pem_private_key(active["private_pem"].encode(), password=None)
    assert isinstance(private, ec.EllipticCurvePrivateKey)
    return Signer(active["kid"], {"keys": [row["public_jwk"] for row in rows]}, private)


async def _offer(tx: Tx, now: datetime) -> None:
    private = ec.generate_private_key(ec.SECP256R1())
    pem = private.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    jwk = public_jwk(private)
    await tx.execute(
        "insert into medbot.signing_keys"
        " (kid, algorithm, private_pem, public_jwk, active, created_at)"
        " values ($1, $2, $3, $4, true, $5) on conflict do nothing",
        jwk["kid"],
        ALGORITHM,
        pem.decode(),
        jwk,
        now,
    )


def public_jwk(private: ec.EllipticCurvePrivateKey) -> dict[str, str]:
    """The public half as a JWK whose `kid` is its thumbprint."""
    numbers = private.public_key().public_numbers()
    key = {
        "kty": "EC",
        "crv": "P-256",
        "x": _base64url(numbers.x.to_bytes(32, "big")),
        "y": _base64url(numbers.y.to_bytes(32, "big")),
    }
    return {**key, "kid": thumbprint(key), "use": "sig", "alg": ALGORITHM}


def thumbprint(key: Mapping[str, str]) -> str:
    """RFC 7638: the SHA-256 of the required members of a key, in their one canonical form."""
    canonical = json.dumps(dict(key), sort_keys=True, separators=(",", ":"))
    return _base64url(hashlib.sha256(canonical.encode()).digest())


def _base64url(value: bytes) -> str:
    return base64.urlsafe_b64encode(value).rstrip(b"=").decode()
