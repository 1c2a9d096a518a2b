"""The port to whoever keeps identities: accounts of our own, or another system's."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol
from uuid import UUID

from auth_service.accounts.models import Scope, SignedIn, User
from kit.identity import Actor, Role


class Provider(Protocol):
    """Each call is one use case and minds its own transactions: a provider may be far away.

    E-mail addresses arrive normalised where they name a new account, as typed elsewhere.
    """

    async def register(self, email: str, password: str, full_name: str | None) -> SignedIn:
        """Makes an account, its profile and its `UserRegistered`. Raises EmailTaken."""
        ...

    async def login(self, email: str, password: str) -> SignedIn:
        """Opens a session. Raises BadCredentials, in the same time whatever is wrong."""
        ...

    async def refresh(self, refresh_token: str) -> SignedIn:
        """Goes on with a session. Raises InvalidRefreshToken, TokenReused."""
        ...

    async def logout(self, actor: Actor, scope: Scope) -> Sequence[UUID]:
        """Ends sessions, tells every verifier by `sessions.store.record`, answers their ids."""
        ...

    async def user(self, actor: Actor) -> User:
        """The account of a verified caller. Raises InvalidToken when it or the session is gone."""
        ...

    async def set_roles(self, user_id: UUID, roles: frozenset[Role]) -> tuple[User, Sequence[UUID]]:
        """Replaces roles; also answers the sessions that this ended. Raises NotFound."""
        ...

    async def find(self, email: str) -> User | None:
        """The account with this e-mail address, for who administers the installation."""
        ...

    def jwks(self) -> Mapping[str, Any]:
        """The public keys of the access tokens."""
        ...
