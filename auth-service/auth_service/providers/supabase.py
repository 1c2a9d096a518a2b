"""Identity in a Supabase project: it keeps accounts, passwords and sessions; we keep profiles.

What is known here of a session is its id, from the claims of its tokens. A session ends here
first, and Supabase is told after that. One that it could not be told of is refused, and told of
again when somebody refreshes it. Sessions that never came by here Supabase alone can end.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import Enum, auto
from typing import Any
from uuid import UUID

from supabase_auth import types

import tokens
from auth_service import emails
from auth_service.accounts.models import (
    AccountLocked,
    BadCredentials,
    GuestSession,
    InvalidRefreshToken,
    Scope,
    Session,
    SignedIn,
    User,
)
from auth_service.guests.models import NoGuests
from auth_service.providers import Device, claims, local, store
from auth_service.providers import supabase_changes as changes
from auth_service.providers import supabase_store as people
from auth_service.providers.directory import POWERS
from auth_service.providers.signing import Signer
from auth_service.providers.supabase_cloud import Cloud, Opened, Reach, SamePassword
from auth_service.providers.supabase_directory import ACTOR, roles_in, settled, user_of
from auth_service.providers.supabase_errors import IdentityBusy, IdentityUnavailable
from auth_service.providers.supabase_waiting import Waiting
from auth_service.sessions import store as sessions
from auth_service.sessions.models import OpenSession
from kit import logs
from kit.database import Clock, Database
from kit.errors import DomainError, InvalidToken, NotFound
from kit.identity import Actor, Role

NOWHERE = Device()

_log = logs.get(__name__)


class Seen(Enum):
    """What is thought of a token that is new here."""

    WELCOME = auto()
    GONE = auto()
    """The person was erased, or the session was ended."""
    LOCKED = auto()
    TOO_MIGHTY = auto()
    """It carries a power that was taken away, of which the project did not know yet."""


_REFUSED: Mapping[Seen, type[DomainError]] = {
    Seen.GONE: InvalidToken,
    Seen.LOCKED: AccountLocked,
    Seen.TOO_MIGHTY: IdentityUnavailable,
}


@dataclass(frozen=True, slots=True)
class SupabaseProvider:
    """The `Provider` of a project. `proof` verifies its tokens, of ended sessions too."""

    db: Database
    cloud: Cloud
    proof: tokens.Verifier
    waiting: Waiting
    clock: Clock
    signer: Signer
    """Of what this installation itself signs: receipts."""

    async def register(
        self, email: str, password: str, full_name: str | None, device: Device
    ) -> SignedIn:
        data = {"full_name": full_name} if full_name is not None else {}
        opened = await self.cloud.sign_up(email, password, data)
        if opened.session is not None:
            return await self._enter(opened, device)
        # Of an address that is known the answer says other things: nothing of it is passed on.
        user = User(
            id=UUID(opened.user.id),
            email=email,
            full_name=full_name,
            roles=[Role.PATIENT],
            created_at=self.clock(),
        )
        return SignedIn(user=user, session=None)

    async def create(self, email: str, password: str, full_name: str | None) -> User:
        made = await self.cloud.create(
            {
                "email": email,
                "password": password,
                "email_confirm": True,
                "user_metadata": {"full_name": full_name} if full_name is not None else {},
                "app_metadata": {"roles": [Role.PATIENT]},
            }
        )
        async with self.db.transaction(ACTOR) as tx:
            await settled(tx, UUID(made.id), roles_in(made), now=self.clock())
        return user_of(made, full_name)

    async def verify(self, token: str) -> None:
        opened = await self.cloud.verify("signup", token)
        if opened.session is not None:  # whoever confirms an address has yet to sign in
            await self._end_there(opened.session.access_token, "local")

    async def login(self, email: str, password: str, device: Device) -> SignedIn:
        opened = await self.cloud.sign_in(emails.lenient(email), password)
        try:
            return await self._enter(opened, device)
        except InvalidToken:  # erased here, and not yet there
            raise BadCredentials from None

    async def refresh(self, refresh_token: str) -> SignedIn:
        opened = await self.cloud.refresh(refresh_token)
        try:
            return await self._enter(opened, NOWHERE)
        except (InvalidToken, AccountLocked):
            raise InvalidRefreshToken from None

    async def logout(self, actor: Actor, scope: Scope) -> Sequence[UUID]:
        user_id, session_id, token = _whole(actor)
        ended = await self._end(user_id, session_id if scope == "local" else None)
        await self._end_there(token, scope)
        return ended

    async def sessions(self, actor: Actor) -> Sequence[OpenSession]:
        user_id, session_id, _ = _whole(actor)
        async with self.db.transaction(actor) as tx:
            if not await store.session_lives(tx, session_id):
                raise InvalidToken
            after = self.clock() - local.REFRESH_LIFE
            return await store.list_sessions(tx, user_id, session_id, used_after=after)

    async def end_session(self, actor: Actor, session_id: UUID) -> Sequence[UUID]:
        user_id, own, _ = _whole(actor)
        if session_id == own:
            return await self.logout(actor, "local")
        ended = await self._end(user_id, session_id)
        if not ended:
            raise NotFound
        return ended

    async def forgot(self, email: str) -> None:
        if address := emails.lenient(email):
            self.waiting.start(lambda: self.cloud.recover(address))

    async def reset(self, token: str, password: str) -> tuple[User, Sequence[UUID]]:
        opened = await self.cloud.verify("recovery", token)
        if opened.session is None:
            raise IdentityUnavailable
        access_token = opened.session.access_token
        try:
            await self.cloud.set_password(access_token, password)
        except SamePassword:
            pass  # it is what was asked for; the sessions end below as they do otherwise
        except BaseException:
            await self._end_there(access_token, "local")
            raise
        ended = await self._end(UUID(opened.user.id), None)
        await self._end_there(access_token, "global")
        return user_of(opened.user, None), ended

    async def change_password(self, actor: Actor, current: str, new: str) -> Sequence[UUID]:
        user_id, session_id, token = _whole(actor)
        try:
            trial = await self.cloud.sign_in(actor.email or "", current)
        except AccountLocked:
            raise InvalidToken from None
        try:
            if UUID(trial.user.id) != user_id:
                raise InvalidToken  # the address is another account's by now
            await self.cloud.set_password(token, new)
        except SamePassword:
            ended = await self._end(user_id, None, spare=session_id)
            await self._end_there(token, "others")
            return ended
        except BaseException:
            if trial.session is not None:
                await self._end_there(trial.session.access_token, "local")
            raise
        return await self._end(user_id, None, spare=session_id)

    async def guest(self) -> GuestSession:
        opened = await self.cloud.sign_in_guest()
        if opened.session is None:
            raise NoGuests
        session = self._session(opened.session)
        return GuestSession(
            guest_id=UUID(opened.user.id),
            access_token=session.access_token,
            expires_in=session.expires_in,
            expires_at=session.expires_at,
        )

    async def user(self, actor: Actor) -> User:
        user_id, session_id, token = _whole(actor)
        found = await self.cloud.user(token)
        async with self.db.transaction(actor) as tx:
            if not await store.session_lives(tx, session_id):
                raise InvalidToken
            return user_of(found, await people.full_name(tx, user_id))

    async def find(self, email: str) -> User | None:
        async with self.db.transaction(ACTOR) as tx:
            user_id = await people.find(tx, emails.lenient(email))
            name = await people.full_name(tx, user_id) if user_id is not None else None
        return user_of(await self.cloud.read(user_id), name) if user_id is not None else None

    def jwks(self) -> Mapping[str, Any]:
        return self.signer.jwks

    async def sight(self, actor: Actor) -> bool:
        """What a new token tells: of a person, for whom a profile is made, and of their session.

        Raises InvalidToken where the account is gone or locked, or the session was ended here.
        """
        if actor.kind == "guest":
            return True
        _, _, token = _whole(actor)
        if await self._see(actor, actor.roles, NOWHERE) is not Seen.WELCOME:
            self._end_there_soon(token)
            raise InvalidToken
        return True

    async def _enter(self, opened: Opened, device: Device) -> SignedIn:
        """Raises InvalidToken, AccountLocked."""
        if opened.session is None:
            raise IdentityUnavailable
        token = opened.session.access_token
        try:
            actor = await self.proof.verify(token)
        except InvalidToken:
            _log.error("supabase.token_not_verified")  # the keys or the clock are not the project's
            raise IdentityUnavailable from None
        user_id, _, _ = _whole(actor)
        seen = await self._see(actor, frozenset(roles_in(opened.user)), device)
        if seen is not Seen.WELCOME:
            await self._end_there(token, "local")
            raise _REFUSED[seen]
        async with self.db.transaction(ACTOR) as tx:
            name = await people.full_name(tx, user_id)
        return SignedIn(user=user_of(opened.user, name), session=self._session(opened.session))

    async def _see(self, actor: Actor, roles: frozenset[Role], device: Device) -> Seen:
        user_id, session_id, token = _whole(actor)
        now, powers = self.clock(), roles & POWERS
        async with self.db.transaction(ACTOR) as tx:
            if not await settled(tx, user_id, roles, now=now):
                return Seen.GONE
            if await store.is_locked(tx, user_id):
                return Seen.LOCKED
            if powers and await changes.withheld(
                tx, user_id, powers, issued_at=claims.issued_at(token)
            ):
                return Seen.TOO_MIGHTY
            lives = await people.see_session(tx, session_id, user_id, device, now=now)
            return Seen.WELCOME if lives else Seen.GONE

    async def _end_there(self, access_token: str, scope: Reach) -> None:
        """Ends sessions in Supabase; where it cannot be told, a later refresh of one tells."""
        try:
            await self.cloud.sign_out(access_token, scope)
        except (IdentityUnavailable, IdentityBusy):
            _log.warning("supabase.session_lives_on")

    def _end_there_soon(self, access_token: str) -> None:
        """Ends a session in Supabase without waiting for it: the gateway would not wait as long."""
        try:
            self.waiting.start(lambda: self._end_there(access_token, "local"))
        except IdentityBusy:
            _log.warning("supabase.session_lives_on")

    async def _end(
        self, user_id: UUID, only: UUID | None, *, spare: UUID | None = None
    ) -> Sequence[UUID]:
        now = self.clock()
        async with self.db.transaction(ACTOR) as tx:
            ended = await store.end_sessions(tx, user_id, session_id=only, now=now, spare=spare)
            await sessions.record(tx, ended, now=now)
        return ended

    def _session(self, session: types.Session) -> Session:
        expires = session.expires_at or int(self.clock().timestamp()) + session.expires_in
        return Session(
            access_token=session.access_token,
            refresh_token=session.refresh_token,
            expires_in=session.expires_in,
            expires_at=datetime.fromtimestamp(expires, UTC),
        )


def _whole(actor: Actor) -> tuple[UUID, UUID, str]:
    """Whose token this is, of which session, and the token. Raises InvalidToken."""
    if actor.id is None or actor.session_id is None or not actor.token:
        raise InvalidToken
    return actor.id, actor.session_id, actor.token
