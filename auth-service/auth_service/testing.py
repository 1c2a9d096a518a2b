"""The auth service as its tests, and journeys across services, start and use it."""

import secrets
from dataclasses import dataclass
from functools import partial
from typing import Any
from uuid import UUID

import argon2
import httpx
from fastapi import FastAPI

import tokens
from auth_service import main
from auth_service.context import Context, open_context
from auth_service.settings import Settings
from kit.database import Clock
from kit.identity import Role
from privacy.audit import Desk, seal_of
from serving.app import build_app

# Made up, and of no account outside a test's own database.
SERVICE_SECRET = "the secret that signs service tokens in tests"  # noqa: S105
PASSWORD = "correct horse battery"  # noqa: S105


@dataclass
class Auth:
    """The running service and a client to it."""

    app: FastAPI
    http: httpx.AsyncClient

    @property
    def context(self) -> Context:
        context: Context = self.app.state.context
        return context

    def desk(self) -> Desk:
        """Where the operator works."""
        ctx = self.context
        return Desk(ctx.db, ctx.actor, None, seal_of(ctx.ground.service_secret), ctx.clock)

    async def post(
        self, path: str, access: str | None = None, /, *, address: str | None = None, **body: Any
    ) -> httpx.Response:
        """`address` is the client's as the gateway names it."""
        headers = bearer(access) | (self.through_gateway(address) if address is not None else {})
        return await self.http.post(f"/api/v1/auth{path}", json=body, headers=headers)

    def through_gateway(self, address: str) -> dict[str, str]:
        """The headers by which the gateway names a client."""
        proof = tokens.service_token(
            SERVICE_SECRET, caller="gateway", audience="auth", now=self.context.clock()
        )
        return {"x-medbot-client": address, "x-medbot-gateway": proof}

    async def delete(self, path: str, token: str | None) -> httpx.Response:
        return await self.http.delete(path, headers=bearer(token))

    async def get(self, path: str, token: str | None = None) -> httpx.Response:
        return await self.http.get(path, headers=bearer(token))

    async def put(self, path: str, token: str | None, body: Any) -> httpx.Response:
        return await self.http.put(path, json=body, headers=bearer(token))

    async def register(self, email: str | None = None, **more: Any) -> "Member":
        address = email or f"{secrets.token_hex(6)}@example.org"
        answer = await self.post("/register", email=address, password=PASSWORD, **more)
        assert answer.status_code == 201, answer.text
        return Member.of(answer.json())

    async def login(
        self, email: str, password: str = PASSWORD, *, address: str | None = None
    ) -> httpx.Response:
        return await self.post("/login", address=address, email=email, password=password)

    async def refresh(self, token: str) -> httpx.Response:
        return await self.post("/refresh", refresh_token=token)

    async def admin(self) -> "Member":
        member = await self.register()
        directory, now = self.context.directory, self.context.clock()
        roles = frozenset({Role.PATIENT, Role.ADMIN})
        async with self.context.db.transaction(self.context.actor) as tx:
            await directory.held(tx, member.id)
            await directory.replace_roles(tx, member.id, roles, now=now)
        await directory.tell(member.id)
        return Member.of((await self.login(member.email)).json())


@dataclass
class Member:
    """Somebody who is signed in."""

    id: UUID
    email: str
    access: str
    refresh: str
    user: dict[str, Any]

    @classmethod
    def of(cls, body: dict[str, Any]) -> "Member":
        user, session = body["user"], body["session"]
        return cls(
            UUID(user["id"]), user["email"], session["access_token"], session["refresh_token"], user
        )


def bearer(token: str | None) -> dict[str, str]:
    return {} if token is None else {"authorization": f"Bearer {token}"}


QUICK = argon2.PasswordHasher(time_cost=1, memory_cost=64, parallelism=1)
"""Hashes that cost next to nothing, for tests that sign in often."""


def make_app(
    database_url: str, clock: Clock, *, hasher: argon2.PasswordHasher = QUICK, **more: Any
) -> FastAPI:
    """The service over a migrated database, with a clock of the test's own."""
    settings = Settings.model_validate(
        {"database_url": database_url, "service_token_secret": SERVICE_SECRET, **more}
    )
    opener = partial(open_context, clock=clock, hasher=hasher)
    return build_app("auth", Settings, opener, *main.ROUTERS, given=settings)
