"""What administrators and erasure do to accounts: inside their own transactions, and after them."""

from datetime import datetime
from typing import Protocol
from uuid import UUID

from auth_service.providers import store
from kit.database import Tx
from kit.identity import Role

POWERS = frozenset({Role.STAFF, Role.ADMIN})
"""Who loses one of these is signed out, so that no token carries it on."""


class Directory(Protocol):
    """The accounts of an installation, whoever keeps them.

    What takes a `tx` reaches no other system: it notes what that is to be told. `tell` and
    `forget` go out to it, while no transaction is open.
    """

    def check(self) -> None:
        """Raises NoServiceKey where accounts cannot be changed, before anything is."""
        ...

    async def held(self, tx: Tx, user_id: UUID) -> bool:
        """Others who change this account wait from now on; False when there is none."""
        ...

    async def replace_roles(
        self, tx: Tx, user_id: UUID, roles: frozenset[Role], *, now: datetime
    ) -> frozenset[Role]:
        """Answers the roles that were there before."""
        ...

    async def set_locked(self, tx: Tx, user_id: UUID, *, locked: bool, now: datetime) -> None:
        """Notes it for whoever opens sessions beside this service."""
        ...

    async def tell(self, user_id: UUID) -> None:
        """Tells what was noted; what cannot be told now is told later. Raises NoServiceKey."""
        ...

    async def blank(self, tx: Tx, user_id: UUID) -> None:
        """Takes what names the person out of the account's row; the row may stay."""
        ...

    async def forget(self, user_id: UUID) -> None:
        """Has the account deleted where it is kept elsewhere; twice is as good as once.

        Raises IdentityUnavailable, IdentityBusy, NoServiceKey.
        """
        ...

    async def delete(self, tx: Tx, user_id: UUID) -> None:
        """Deletes the account that is kept here, with whatever still refers to it."""
        ...


class LocalDirectory:
    """Accounts in our own tables: there is nobody else to tell."""

    def check(self) -> None:
        """Nothing is missing."""

    async def held(self, tx: Tx, user_id: UUID) -> bool:
        return await store.lock_account(tx, user_id)

    async def replace_roles(
        self, tx: Tx, user_id: UUID, roles: frozenset[Role], *, now: datetime
    ) -> frozenset[Role]:
        return await store.replace_roles(tx, user_id, roles, now=now)

    async def set_locked(self, tx: Tx, user_id: UUID, *, locked: bool, now: datetime) -> None:
        """The lock in our own table is all there is."""

    async def tell(self, user_id: UUID) -> None:
        """All is known."""

    async def blank(self, tx: Tx, user_id: UUID) -> None:
        await tx.execute(
            "update auth.users set email = null, raw_app_meta_data = '{}',"
            " raw_user_meta_data = '{}' where id = $1",
            user_id,
        )

    async def forget(self, user_id: UUID) -> None:
        """It is deleted in the transaction that writes the receipt."""

    async def delete(self, tx: Tx, user_id: UUID) -> None:
        await tx.execute("delete from auth.users where id = $1", user_id)
