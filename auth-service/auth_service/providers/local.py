"""Identity in our own PostgreSQL: accounts, passwords, sessions, rotating refresh tokens."""

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
    EmailTaken,
    GuestSession,
    InvalidLink,
    InvalidRefreshToken,
    Scope,
    Session,
    SignedIn,
    TokenReused,
    User,
)
from auth_service.mails.sending import Sender
from auth_service.providers import Device, claims, store, waiting
from auth_service.providers.claims import ACCESS_LIFE, digest_of
from auth_service.providers.passwords import Passwords
from auth_service.providers.signing import Signer
from auth_service.sessions import store as sessions
from auth_service.sessions.models import OpenSession
from contracts.events import UserRegistered
from kit import outbox
from kit.database import Clock, Database, Tx
from kit.errors import InvalidToken, NotFound
from kit.identity import Actor, Role

SERVICE = "auth"
ACTOR = Actor.of_service(SERVICE)
ISSUER = claims.ISSUER
REFRESH_LIFE = timedelta(days=30)
"""How long a refresh token may lie unused."""

REUSE_WITHIN = timedelta(seconds=10)
"""Two tabs may exchange one refresh token, a thief who comes later may not."""


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
    sender: Sender
    confirm: bool = False
    """Whether an address is confirmed before it has an account."""

    async def register(
        self, email: str, password: str, full_name: str | None, device: Device
    ) -> SignedIn:
        digest, now = await self.passwords.hash(password), self.clock()
        wanted = waiting.Pending(uuid4(), email, digest, full_name)
        async with self.db.transaction(ACTOR) as tx:
            if not self.confirm:
                await self._make_account(tx, wanted, now)
                return await self._open_session(tx, wanted.id, device, now)
            await waiting.insert_pending(tx, wanted, now=now)
            await self.sender.to_pending(tx, wanted, now=now)
        user = User(
            id=wanted.id, email=email, full_name=full_name, roles=[Role.PATIENT], created_at=now
        )
        return SignedIn(user=user, session=None)

    async def create(self, email: str, password: str, full_name: str | None) -> User:
        """Makes an account whose address somebody vouches for who administers the installation.

        Raises:
            EmailTaken
        """
        digest, now = await self.passwords.hash(password), self.clock()
        wanted = waiting.Pending(uuid4(), email, digest, full_name)
        async with self.db.transaction(ACTOR) as tx:
            await self._make_account(tx, wanted, now)
            return await _existing(tx, wanted.id)

    async def verify(self, token: str) -> None:
        now = self.clock()
        try:
            async with self.db.transaction(ACTOR) as tx:
                waited = await waiting.take_pending(tx, digest_of(token), now=now)
                if waited is None:
                    raise InvalidLink
                await self._make_account(tx, waited, now)
        except EmailTaken:
            raise InvalidLink from None

    async def login(self, email: str, password: str, device: Device) -> SignedIn:
        written = emails.lenient(email)
        stand_in = self.passwords.stand_in(written or email)
        async with self.db.transaction(ACTOR) as tx:
            known = await store.get_credentials(tx, written)
        kept = known.password_hash if known is not None else stand_in
        matches = await self.passwords.match(kept, password)
        if known is None or not matches:
            raise BadCredentials
        outdated = self.passwords.is_outdated(known.password_hash)
        renewed = await self.passwords.hash(password) if outdated else None
        now = self.clock()
        async with self.db.transaction(ACTOR) as tx:
            await store.lock_account(tx, known.user_id)
            if await store.get_credentials(tx, emails.lenient(email)) != known:
                raise BadCredentials  # the password changed meanwhile
            if renewed is not None:
                await store.set_password_hash(tx, known.user_id, renewed, now=now)
            await store.delete_sessions_before(tx, known.user_id, now - REFRESH_LIFE)
            return await self._open_session(tx, known.user_id, device, now)

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

    async def sessions(self, actor: Actor) -> Sequence[OpenSession]:
        if actor.id is None or actor.session_id is None:
            raise InvalidToken
        async with self.db.transaction(actor) as tx:
            if not await store.session_lives(tx, actor.session_id):
                raise InvalidToken
            return await store.list_sessions(
                tx, actor.id, actor.session_id, used_after=self.clock() - REFRESH_LIFE
            )

    async def end_session(self, actor: Actor, session_id: UUID) -> Sequence[UUID]:
        if actor.id is None:
            raise InvalidToken
        async with self.db.transaction(ACTOR) as tx:
            ended = await self._end(tx, actor.id, session_id, self.clock())
        if not ended:
            raise NotFound
        return ended

    async def forgot(self, email: str) -> None:
        async with self.db.transaction(ACTOR) as tx:
            await self.sender.to_address(tx, "reset", emails.lenient(email), now=self.clock())

    async def reset(self, token: str, password: str) -> tuple[User, Sequence[UUID]]:
        digest, now = await self.passwords.hash(password), self.clock()
        async with self.db.transaction(ACTOR) as tx:
            user_id = await waiting.take_reset(tx, digest_of(token), now=now)
            if user_id is None or not await store.lock_account(tx, user_id):
                raise InvalidLink
            user = await _existing(tx, user_id)
            await self._new_password(tx, user, digest, now)
            return user, await self._end(tx, user_id, None, now)

    async def change_password(self, actor: Actor, current: str, new: str) -> Sequence[UUID]:
        if actor.id is None or actor.session_id is None:
            raise InvalidToken
        async with self.db.transaction(ACTOR) as tx:
            known = await store.credentials_of(tx, actor.id)
        if known is None:
            raise InvalidToken
        if not await self.passwords.match(known.password_hash, current):
            raise BadCredentials
        digest, now = await self.passwords.hash(new), self.clock()
        async with self.db.transaction(ACTOR) as tx:
            await store.lock_account(tx, actor.id)
            if await store.credentials_of(tx, actor.id) != known:
                raise BadCredentials  # the password changed meanwhile
            if not await store.session_lives(tx, actor.session_id):
                raise InvalidToken
            await self._new_password(tx, await _existing(tx, actor.id), digest, now)
            return await self._end(tx, actor.id, None, now, spare=actor.session_id)

    async def guest(self) -> GuestSession:
        guest_id, now = uuid4(), self.clock()
        return GuestSession(
            guest_id=guest_id,
            access_token=self.signer.sign(claims.guest_claims(guest_id, uuid4(), now=now)),
            expires_in=int(ACCESS_LIFE.total_seconds()),
            expires_at=now.replace(microsecond=0) + ACCESS_LIFE,
        )

    async def user(self, actor: Actor) -> User:
        if actor.id is None or actor.session_id is None:
            raise InvalidToken
        async with self.db.transaction(actor) as tx:
            user = await store.get_user(tx, actor.id)
            if user is None or not await store.session_lives(tx, actor.session_id):
                raise InvalidToken
        return user

    async def find(self, email: str) -> User | None:
        async with self.db.transaction(ACTOR) as tx:
            known = await store.get_credentials(tx, emails.lenient(email))
            return await store.get_user(tx, known.user_id) if known is not None else None

    def jwks(self) -> Mapping[str, Any]:
        return self.signer.jwks

    async def _make_account(self, tx: Tx, wanted: waiting.Pending, now: datetime) -> None:
        """Raises EmailTaken."""
        await store.insert_account(
            tx, wanted.id, wanted.email, wanted.password_hash, wanted.full_name, now=now
        )
        await store.replace_roles(tx, wanted.id, frozenset({Role.PATIENT}), now=now)
        await outbox.emit(tx, UserRegistered(user_id=wanted.id), source=SERVICE)

    async def _new_password(self, tx: Tx, user: User, digest: str, now: datetime) -> None:
        await store.set_password_hash(tx, user.id, digest, now=now)
        await waiting.forget_resets(tx, user.id)
        await self.sender.to_address(tx, "password_changed", user.email, now=now)

    async def _end(
        self,
        tx: Tx,
        user_id: UUID,
        only: UUID | None,
        now: datetime,
        *,
        spare: UUID | None = None,
    ) -> list[UUID]:
        ended = await store.end_sessions(tx, user_id, session_id=only, now=now, spare=spare)
        await sessions.record(tx, ended, now=now)
        return ended

    async def _open_session(self, tx: Tx, user_id: UUID, device: Device, now: datetime) -> SignedIn:
        if await store.is_locked(tx, user_id):
            raise AccountLocked
        session_id = uuid4()
        await store.insert_session(
            tx, session_id, user_id, network=device.network, program=device.program, now=now
        )
        return await self._go_on(tx, user_id, session_id, now, now)

    async def _go_on(
        self, tx: Tx, user_id: UUID, session_id: UUID, signed_in_at: datetime, now: datetime
    ) -> SignedIn:
        refresh_token = secrets.token_urlsafe(32)
        await store.insert_token(tx, digest_of(refresh_token), session_id, now=now)
        user = await _existing(tx, user_id)
        said = claims.access_claims(user, session_id, signed_in_at, now=now)
        session = Session(
            access_token=self.signer.sign(said),
            refresh_token=refresh_token,
            expires_in=int(ACCESS_LIFE.total_seconds()),
            expires_at=now.replace(microsecond=0) + ACCESS_LIFE,
        )
        return SignedIn(user=user, session=session)


async def _existing(tx: Tx, user_id: UUID) -> User:
    user = await store.get_user(tx, user_id)
    assert user is not None, "the transaction holds the account"
    return user
