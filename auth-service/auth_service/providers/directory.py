"""What administrators and erasure do to accounts, inside their own transactions."""

from datetime import datetime
from typing import Protocol
from uuid import UUID

from auth_service.providers import store
from kit.database import Tx
from kit.identity import Role


class Directory(Protocol):
    """The accounts of an installation, whoever keeps them.

    A call may reach another system before the transaction commits: its effect there outlives a
    transaction that fails, and calling again with the same arguments sets it right.
    """

    async def held(self, tx: Tx, user_id: UUID) -> bool:
        """Others who change this account wait from now on; False when there is none."""
        ...

    async def replace_roles(
        self, tx: Tx, user_id: UUID, roles: frozenset[Role], *, now: datetime
    ) -> frozenset[Role]:
        """Answers the roles that were there before."""
        ...

    async def set_locked(self, user_id: UUID, *, locked: bool) -> None:
        """Tells whoever opens sessions beside this service."""
        ...

    async def blank(self, tx: Tx, user_id: UUID) -> None:
        """Takes what names the person out of the account's row; the row may stay."""
        ...

    async def delete(self, tx: Tx, user_id: UUID) -> None:
        """Deletes the account with whatever still refers to it."""
        ...


class LocalDirectory:
    """Accounts in our own tables."""

    async def held(self, tx: Tx, user_id: UUID) -> bool:
        return await store.lock_account(tx, user_id)

    async def replace_roles(
        self, tx: Tx, user_id: UUID, roles: frozenset[Role], *, now: datetime
    ) -> frozenset[Role]:
        return await store.replace_roles(tx, user_id, roles, now=now)

    async def set_locked(self, user_id: UUID, *, locked: bool) -> None:
        """The lock in our own table is all there is."""

    async def blank(self, tx: Tx, user_id: UUID) -> None:
        await tx.execute(
            "update auth.users set email = null, raw_app_meta_data = '{}',"
            " raw_user_meta_data = '{}' where id = $1",
            user_id,
        )

    async def delete(self, tx: Tx, user_id: UUID) -> None:
        await tx.execute("delete from auth.users where id = $1", user_id)
