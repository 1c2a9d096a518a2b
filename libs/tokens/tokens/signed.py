"""Reading what is signed: a token's claims, or InvalidToken without a word of what was wrong."""

import base64
import json
from collections.abc import Mapping
from typing import Any
from uuid import UUID

import jwt

from kit.errors import InvalidToken
from tokens.jwks import Key

MAX_LENGTH = 8192
LEEWAY = 10.0
MIN_SECRET = 32
LATEST = 253_402_300_800  # the year 10000, in seconds since 1970

jws = jwt.PyJWS(
    algorithms=["ES256", "RS256", "EdDSA", "HS256"], options={"enforce_minimum_key_length": True}
)


def shared_key(secret: str) -> Key:
    if len(secret.encode()) < MIN_SECRET:
        raise ValueError(f"a shared secret needs at least {MIN_SECRET} bytes")
    return Key("", "HS256", secret)


def header(token: str) -> Mapping[str, Any]:
    """What a token says of itself, only to choose a key by; `checked` reads it again, strictly."""
    if len(token) > MAX_LENGTH:
        raise InvalidToken
    first = token.partition(".")[0]
    try:
        header = json.loads(base64.urlsafe_b64decode(first + "=" * (-len(first) % 4)))
    except (ValueError, RecursionError):
        raise InvalidToken from None
    if not isinstance(header, dict):
        raise InvalidToken
    return header


def checked(token: str, key: Key, *, kind: str = "jwt") -> Mapping[str, Any]:
    """The claims of a token that `key` signed with the key's own algorithm."""
    try:
        whole = jws.decode_complete(token, key.material, algorithms=[key.algorithm])
        claims = json.loads(whole["payload"])
    except (jwt.PyJWTError, ValueError, TypeError, RecursionError):
        raise InvalidToken from None
    if str(whole["header"].get("typ", kind)).lower() != kind or not isinstance(claims, dict):
        raise InvalidToken
    return claims


def check_times(claims: Mapping[str, Any], now: float) -> float:
    """The expiry, in seconds since 1970, of claims that hold at `now`."""
    expires = _number(claims.get("exp"))
    starts = [_number(claims[name]) for name in ("iat", "nbf") if name in claims]
    if expires <= now or any(start > now + LEEWAY for start in starts):
        raise InvalidToken
    return expires


def _number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise InvalidToken
    if not abs(value) < LATEST:  # also refuses NaN and infinity, which JSON in Python admits
        raise InvalidToken
    return float(value)


def uuid_of(value: Any) -> UUID:
    try:
        return UUID(value)
    except (ValueError, TypeError, AttributeError):
        raise InvalidToken from None
