"""The port to whoever keeps identities: accounts of our own, or another system's."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol
from uuid import UUID

from auth_service.accounts.models import GuestSession, Scope, SignedIn, User
from auth_service.sessions.models import OpenSession
from kit.identity import Actor


@dataclass(frozen=True, slots=True)
class Device:
    """What a session is told apart by; neither says who or where exactly."""

    network: str | None = None
    program: str | None = None


class Provider(Protocol):
    """Each call is one use case and minds its own transactions: a provider may be far away.

    E-mail addresses arrive normalised where they name a new account, as typed elsewhere. Delays
    after failed sign-ins are not a provider's: they are the same for all (`auth_service.lockout`).
    """

    async def register(
        self, email: str, password: str, full_name: str | None, device: Device
    ) -> SignedIn:
        """Makes an account, its profile and its `UserRegistered`. Raises EmailTaken.

        Where addresses are confirmed first, it makes nothing yet but a mail, answers no session,
        and answers for a known address the same, in the same time.
        """
        ...

    async def create(self, email: str, password: str, full_name: str | None) -> User:
        """Makes an account whose address needs no confirmation. Raises EmailTaken."""
        ...

    async def verify(self, token: str) -> None:
        """Makes the account whose address a mailed token confirms. Raises InvalidLink."""
        ...

    async def login(self, email: str, password: str, device: Device) -> SignedIn:
        """Opens a session. Raises BadCredentials, in the same time whatever is wrong."""
        ...

    async def refresh(self, refresh_token: str) -> SignedIn:
        """Goes on with a session. Raises InvalidRefreshToken, TokenReused."""
        ...

    async def logout(self, actor: Actor, scope: Scope) -> Sequence[UUID]:
        """Ends sessions, tells every verifier by `sessions.store.record`, answers their ids."""
        ...

    async def sessions(self, actor: Actor) -> Sequence[OpenSession]:
        """The caller's sessions that live, the last used first."""
        ...

    async def end_session(self, actor: Actor, session_id: UUID) -> Sequence[UUID]:
        """Ends one session of the caller as `logout` does. Raises NotFound."""
        ...

    async def forgot(self, email: str) -> None:
        """Mails a link to set a new password; does as much, and no more, for unknown addresses."""
        ...

    async def reset(self, token: str, password: str) -> tuple[User, Sequence[UUID]]:
        """Sets a password by a mailed token and ends every session. Raises InvalidLink."""
        ...

    async def change_password(self, actor: Actor, current: str, new: str) -> Sequence[UUID]:
        """Sets a password and ends the other sessions. Raises BadCredentials, InvalidToken."""
        ...

    async def guest(self) -> GuestSession:
        """A short session of somebody without an account, who has an id of their own.

        Raises NoGuests where whoever keeps the accounts lets none in.
        """
        ...

    async def user(self, actor: Actor) -> User:
        """The account of a verified caller. Raises InvalidToken when it or the session is gone."""
        ...

    async def find(self, email: str) -> User | None:
        """The account with this e-mail address, for who administers the installation."""
        ...

    def jwks(self) -> Mapping[str, Any]:
        """The public keys of what is signed here: receipts, and access tokens where made here."""
        ...
