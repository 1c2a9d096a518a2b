"""Stands in for the auth service: a key, tokens as it signs them, and its two documents.

Only the wire is imitated: `/.well-known/jwks.json` and `/internal/sessions/ended`.
"""

import json
import time
import uuid
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from kit.identity import Actor, Role
from kit.testing.serving import serve

KID = "the-key-of-the-tests"
SERVICE_SECRET = "a secret that every service of a test shares"  # noqa: S105 of no use elsewhere


class Issuer:
    """Signs access tokens for people of a test."""

    def __init__(self) -> None:
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.url = ""
        self._ended: list[uuid.UUID] = []

    def token(
        self, actor: Actor, *, expires_in: float = 600, roles: Iterable[Role] | None = None
    ) -> str:
        """An access token with the claims that the auth service gives."""
        now = int(time.time())
        claims: dict[str, Any] = {
            "sub": str(actor.id),
            "email": actor.email,
            "role": "authenticated",
            "aud": "authenticated",
            "iat": now,
            "exp": now + int(expires_in),
            "session_id": str(actor.session_id or uuid.uuid4()),
            "app_metadata": {"roles": sorted(roles if roles is not None else actor.roles)},
        }
        return self.sign(claims)

    def sign(self, claims: dict[str, Any], **headers: Any) -> str:
        """Any claims, signed with the key of the tests."""
        return jwt.encode(claims, self.key, algorithm="ES256", headers={"kid": KID, **headers})

    def end(self, session_id: uuid.UUID) -> None:
        """From the next poll on the session counts as ended."""
        self._ended.append(session_id)

    async def _jwks(self, _: Request) -> JSONResponse:
        public = json.loads(jwt.algorithms.ECAlgorithm.to_jwk(self.key.public_key()))
        return JSONResponse({"keys": [{**public, "kid": KID, "alg": "ES256", "use": "sig"}]})

    async def _ended_after(self, request: Request) -> JSONResponse:
        after = int(request.query_params["after"])
        ids = [str(session) for session in self._ended[after:]]
        return JSONResponse({"session_ids": ids, "cursor": after + len(ids), "more": False})

    def app(self) -> Starlette:
        """The two documents."""
        return Starlette(
            routes=[
                Route("/.well-known/jwks.json", self._jwks),
                Route("/internal/sessions/ended", self._ended_after),
            ]
        )


@asynccontextmanager
async def open_issuer() -> AsyncIterator[Issuer]:
    """Serves an issuer on a real socket."""
    issuer = Issuer()
    async with serve(issuer.app()) as served:
        issuer.url = served.url
        yield issuer
