"""Identity in our own PostgreSQL: accounts, passwords, sessions, rotating refresh tokens."""

import hashlib
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum, auto
from typing import Any
from uuid import UUID, uuid4

from auth_service import emails
from auth_service.accounts.models import (
    AccountLocked,
    BadCredentials,
    InvalidRefreshToken,
    Scope,
    Session,
    SignedIn,
    TokenReused,
    User,
)
from auth_service.providers import passwords, store
from auth_service.providers.passwords import Passwords
from auth_service.providers.signing import Signer
from auth_service.sessions import store as sessions
from contracts.events import UserRegistered
from kit import outbox
from kit.database import Clock, Database, Tx
from kit.errors import InvalidToken, NotFound
from kit.identity import Actor, Role

SERVICE = "auth"
ACTOR = Actor.of_service(SERVICE)
ISSUER = "medbot"
ACCESS_LIFE = timedelta(hours=1)
REFRESH_LIFE = timedelta(days=30)
"""How long a refresh token may lie unused."""

REUSE_WITHIN = timedelta(seconds=10)
"""Two tabs may exchange one refresh token, a thief who comes later may not."""

POWERS = frozenset({Role.STAFF, Role.ADMIN})
"""Who loses one of these is signed out, so that no token carries it on."""


class Verdict(Enum):
    """What a refresh token is worth."""

    GOOD = auto()
    REUSED = auto()
    DEAD = auto()


def judge(held: store.HeldToken, *, now: datetime) -> Verdict:
    """REUSED tokens give a theft away, whatever has become of their session."""
    if held.used_at is not None and now - held.used_at > REUSE_WITHIN:
        return Verdict.REUSED
    if held.ended_at is not None or now - held.created_at >= REFRESH_LIFE:
        return Verdict.DEAD
    return Verdict.GOOD


@dataclass(frozen=True, slots=True)
class LocalProvider:
    """The `Provider` that needs nothing but the database."""

    db: Database
    passwords: Passwords
    signer: Signer
    clock: Clock

    async def register(self, email: str, password: str, full_name: str | None) -> SignedIn:
        digest, now, user_id = await self.passwords.hash(password), self.clock(), uuid4()
        async with self.db.transaction(ACTOR) as tx:
            await store.insert_account(tx, user_id, email, digest, full_name, now=now)
            await store.replace_roles(tx, user_id, frozenset({Role.PATIENT}), now=now)
            signed_in = await self._open_session(tx, user_id, now)
            await outbox.emit(tx, UserRegistered(user_id=user_id), source=SERVICE)
        return signed_in

    async def login(self, email: str, password: str) -> SignedIn:
        async with self.db.transaction(ACTOR) as tx:
            known = await store.get_credentials(tx, _lenient(email))
        matches = await self.passwords.match(known.password_hash if known else None, password)
        if known is None or not matches:
            raise BadCredentials
        outdated = passwords.is_outdated(known.password_hash)
        renewed = await self.passwords.hash(password) if outdated else None
        now = self.clock()
        async with self.db.transaction(ACTOR) as tx:
            await store.lock_account(tx, known.user_id)
            if await store.get_credentials(tx, _lenient(email)) != known:
                raise BadCredentials  # the password changed meanwhile
            if renewed is not None:
                await store.set_password_hash(tx, known.user_id, renewed, now=now)
            await store.delete_sessions_before(tx, known.user_id, now - REFRESH_LIFE)
            return await self._open_session(tx, known.user_id, now)

    async def refresh(self, refresh_token: str) -> SignedIn:
        digest, now = digest_of(refresh_token), self.clock()
        async with self.db.transaction(ACTOR) as tx:
            held = await store.lock_token(tx, digest)
            verdict = judge(held, now=now) if held is not None else Verdict.DEAD
            if held is not None and verdict is Verdict.GOOD:
                await store.mark_used(tx, digest, held.session_id, now=now)
                return await self._go_on(tx, held.user_id, held.session_id, held.signed_in_at, now)
            if held is not None and verdict is Verdict.REUSED:
                await self._end(tx, held.user_id, held.session_id, now)
        # The transaction has committed: a family stays revoked although its caller gets an error.
        raise TokenReused if verdict is Verdict.REUSED else InvalidRefreshToken

    async def logout(self, actor: Actor, scope: Scope) -> Sequence[UUID]:
        if actor.id is None or actor.session_id is None:
            raise InvalidToken
        only = actor.session_id if scope == "local" else None
        async with self.db.transaction(ACTOR) as tx:
            return await self._end(tx, actor.id, only, self.clock())

    async def user(self, actor: Actor) -> User:
        if actor.id is None or actor.session_id is None:
            raise InvalidToken
        async with self.db.transaction(actor) as tx:
            user = await store.get_user(tx, actor.id)
            if user is None or not await store.session_lives(tx, actor.session_id):
                raise InvalidToken
        return user

    async def set_roles(self, user_id: UUID, roles: frozenset[Role]) -> tuple[User, Sequence[UUID]]:
        now = self.clock()
        async with self.db.transaction(ACTOR) as tx:
            if not await store.lock_account(tx, user_id):
                raise NotFound
            lost = await store.replace_roles(tx, user_id, roles, now=now) - roles
            ended = await self._end(tx, user_id, None, now) if lost & POWERS else []
            return await _existing(tx, user_id), ended

    async def find(self, email: str) -> User | None:
        async with self.db.transaction(ACTOR) as tx:
            known = await store.get_credentials(tx, _lenient(email))
            return await store.get_user(tx, known.user_id) if known is not None else None

    def jwks(self) -> Mapping[str, Any]:
        return self.signer.jwks

    async def _end(self, tx: Tx, user_id: UUID, only: UUID | None, now: datetime) -> list[UUID]:
        ended = await store.end_sessions(tx, user_id, session_id=only, now=now)
        await sessions.record(tx, ended, now=now)
        return ended

    async def _open_session(self, tx: Tx, user_id: UUID, now: datetime) -> SignedIn:
        if await store.is_locked(tx, user_id):
            raise AccountLocked
        session_id = uuid4()
        await store.insert_session(tx, session_id, user_id, now=now)
        return await self._go_on(tx, user_id, session_id, now, now)

    async def _go_on(
        self, tx: Tx, user_id: UUID, session_id: UUID, signed_in_at: datetime, now: datetime
    ) -> SignedIn:
        refresh_token = secrets.token_urlsafe(32)
        await store.insert_token(tx, digest_of(refresh_token), session_id, now=now)
        user = await _existing(tx, user_id)
        access_token = self.signer.sign(access_claims(user, session_id, signed_in_at, now=now))
        session = Session(
            access_token=access_token,
            refresh_token=refresh_token,
            expires_in=int(ACCESS_LIFE.total_seconds()),
            expires_at=now.replace(microsecond=0) + ACCESS_LIFE,
        )
        return SignedIn(user=user, session=session)


def digest_of(refresh_token: str) -> bytes:
    """What is kept of a refresh token: it has 256 random bits, so no salt is needed."""
    return hashlib.sha256(refresh_token.encode()).digest()


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


async def _existing(tx: Tx, user_id: UUID) -> User:
    user = await store.get_user(tx, user_id)
    assert user is not None, "the transaction holds the account"
    return user


def _lenient(email: str) -> str:
    """What a malformed address is looked up as: nobody has it, and it takes the same time."""
    try:
        return emails.normalise(email)
    except ValueError:
        return ""
