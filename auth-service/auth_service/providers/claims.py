"""What access tokens say, named as Supabase names it, and what is kept of the other tokens."""

import hashlib
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import jwt

from auth_service.accounts.models import User

ISSUER = "medbot"
ACCESS_LIFE = timedelta(hours=1)


def digest_of(token: str) -> bytes:
    """What is kept of a refresh token or a link's: it has 256 random bits, so it needs no salt."""
    return hashlib.sha256(token.encode()).digest()


def issued_at(token: str) -> float:
    """When a verified token says that it was issued, in seconds since 1970; 0 if it does not."""
    said = jwt.decode(token, options={"verify_signature": False})
    return float(said.get("iat", 0))


def access_claims(
    user: User, session_id: UUID, signed_in_at: datetime, *, now: datetime
) -> dict[str, Any]:
    """The claims of an access token, named as Supabase names them."""
    issued = int(now.timestamp())
    return {
        "iss": ISSUER,
        "sub": str(user.id),
        "aud": "authenticated",
        "exp": issued + int(ACCESS_LIFE.total_seconds()),
        "iat": issued,
        "email": user.email,
        "phone": "",
        "app_metadata": {"provider": "email", "providers": ["email"], "roles": list(user.roles)},
        "user_metadata": {},
        "role": "authenticated",
        "aal": "aal1",
        "amr": [{"method": "password", "timestamp": int(signed_in_at.timestamp())}],
        "session_id": str(session_id),
        "is_anonymous": False,
    }


def guest_claims(guest_id: UUID, session_id: UUID, *, now: datetime) -> dict[str, Any]:
    """The claims of a guest's token; it has no role but to be there."""
    issued = int(now.timestamp())
    return {
        "iss": ISSUER,
        "sub": str(guest_id),
        "aud": "authenticated",
        "exp": issued + int(ACCESS_LIFE.total_seconds()),
        "iat": issued,
        "email": "",
        "phone": "",
        "app_metadata": {"roles": []},
        "user_metadata": {},
        "role": "authenticated",
        "aal": "aal1",
        "amr": [{"method": "anonymous", "timestamp": issued}],
        "session_id": str(session_id),
        "is_anonymous": True,
    }
