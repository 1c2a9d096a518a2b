"""The receipt of an erasure: a JWS of the key that signs access tokens, of a type of its own."""

from datetime import datetime
from typing import Any

from auth_service.erasure.models import Erasure

TYPE = "erasure-receipt+jwt"
"""No verifier takes it for an access token: they want another type, an expiry and an audience."""


def claims(erasure: Erasure, digest: bytes, *, issuer: str, now: datetime) -> dict[str, Any]:
    """What is signed. `person_sha256` is that of the 16 bytes of the person's id, in hex."""
    return {
        "iss": issuer,
        "jti": str(erasure.erasure_id),
        "iat": int(now.timestamp()),
        "erasure": {
            "person_sha256": digest.hex(),
            "requested_at": erasure.requested_at.isoformat(),
            "completed_at": now.isoformat(),
            "services": {part.service: _when(part.erased_at) for part in erasure.services},
        },
    }


def _when(at: datetime | None) -> str | None:
    return at.isoformat() if at is not None else None
