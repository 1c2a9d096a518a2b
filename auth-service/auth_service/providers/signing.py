"""The keys that sign access tokens and receipts: kept in the database, one of them signs at a time.

A new key is published before it signs: whoever verifies has seen it by then. The old one's private
half goes at once from the database; the public half stays in the JWKS, for receipts, with the time
after which no token of it holds.
"""

import base64
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from auth_service.providers.claims import ACCESS_LIFE
from kit import background, logs
from kit.database import CONNECTION_ERRORS, Clock, Database, Tx
from kit.errors import ServiceUnavailable
from kit.identity import Actor

ALGORITHM = "ES256"
LOOK_EVERY = 2.0
"""Seconds after which an instance knows of another key."""
SIGNS_AFTER = timedelta(seconds=15)
"""Longer than it takes until every instance shows a new key and every verifier may ask for it."""
OLD_HOLDS = ACCESS_LIFE + timedelta(minutes=2)
"""How long tokens of an old key hold, from the moment at which a new one was made."""

_log = logs.get(__name__)


@dataclass(frozen=True, slots=True)
class _Held:
    kid: str
    created_at: datetime
    private: ec.EllipticCurvePrivateKey = field(repr=False)


class Signer:
    """Signs with the newest key that everybody knows; `jwks` names every key there ever was."""

    def __init__(self, held: _Held, jwks: Mapping[str, Any]) -> None:
        self._held, self.jwks = held, jwks

    @property
    def kid(self) -> str:
        """The key that signs now."""
        return self._held.kid

    def sign(self, claims: Mapping[str, Any], *, kind: str = "JWT") -> str:
        """A JWT of `claims`; `kind` is its `typ`, by which verifiers tell tokens from papers."""
        held = self._held
        headers = {"kid": held.kid, "typ": kind}
        return jwt.encode(dict(claims), held.private, ALGORITHM, headers=headers)

    async def look(self, tx: Tx, *, now: datetime) -> None:
        """Learns of another key: shows it at once, and signs with it once it was shown a while."""
        active = await _active(tx)
        if (published := await _published(tx)) != self.jwks:
            self.jwks = published
        if active is not None and active["kid"] != self.kid:
            found = _opened(active)
            if found.created_at + SIGNS_AFTER <= now:
                self._held = found

    async def follow(self, db: Database, itself: Actor, clock: Clock) -> None:
        """Looks until cancelled; while the database is away it signs on with what it has."""

        async def once() -> None:
            try:
                async with db.transaction(itself) as tx:
                    await self.look(tx, now=clock())
            except (*CONNECTION_ERRORS, ServiceUnavailable) as error:
                _log.warning("keys.waiting", **logs.failure(error))

        await background.every(LOOK_EVERY, once)


async def open_signer(tx: Tx, *, now: datetime) -> Signer:
    """The signer of this installation; of instances that start at once, one makes its key."""
    active = await _active(tx)
    if active is None:
        await _offer(tx, now)
        active = await _active(tx)
    assert active is not None
    return Signer(_opened(active), await _published(tx))


async def rotate(tx: Tx, *, now: datetime) -> tuple[str | None, str]:
    """Makes a new key and retires the one that signs; their names. All or nothing, and of two at
    once the second retires the key of the first."""
    await tx.execute("select pg_advisory_xact_lock(hashtextextended('medbot.signing_keys', 0))")
    old: str | None = await tx.fetchval(
        "update medbot.signing_keys set active = false, private_pem = null, valid_until = $1"
        " where active returning kid",
        now + OLD_HOLDS,
    )
    return old, await _offer(tx, now)


async def _active(tx: Tx) -> Any:
    return await tx.fetchrow(
        "select kid, private_pem, created_at from medbot.signing_keys where active"
    )


async def _published(tx: Tx) -> Mapping[str, Any]:
    """The JWKS, the newest key first; `exp` is when the last token of an old key has expired."""
    rows = await tx.fetch(
        "select public_jwk, valid_until from medbot.signing_keys order by created_at desc, kid"
    )
    return {"keys": [_entry(row["public_jwk"], row["valid_until"]) for row in rows]}


def _entry(jwk: dict[str, Any], valid_until: datetime | None) -> dict[str, Any]:
    return jwk if valid_until is None else {**jwk, "exp": int(valid_until.timestamp())}


def _opened(row: Any) -> _Held:
    private = serialization.load_pem_private_key(row["private_pem"].encode(), password=None)
    assert isinstance(private, ec.EllipticCurvePrivateKey)
    return _Held(row["kid"], row["created_at"], private)


async def _offer(tx: Tx, now: datetime) -> str:
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
    return jwk["kid"]


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
