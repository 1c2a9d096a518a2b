"""Accounts of a Supabase project, as administrators and erasure change them."""

from collections.abc import Iterable
from datetime import datetime
from uuid import UUID

from supabase_auth import types

from auth_service.providers import store
from auth_service.providers import supabase_store as people
from auth_service.providers.supabase_cloud import Cloud
from contracts.events import UserRegistered
from kit import outbox
from kit.database import Clock, Tx
from kit.identity import Role

SERVICE = "auth"
FOR_EVER = "876000h"
"""A hundred years, in the only unit that a ban takes."""


def roles_in(user: types.User) -> list[Role]:
    """What `app_metadata.roles` says, which only the project's service may write."""
    named = user.app_metadata.get("roles")
    if not isinstance(named, list):
        return [Role.PATIENT]
    return sorted(role for role in Role if role in named)


async def settled(tx: Tx, user_id: UUID, roles: Iterable[Role], *, now: datetime) -> bool:
    """Whether there is such a person; the first time, their profile and `UserRegistered` are made.

    `roles` are kept as a copy for whoever lists people; what counts is what the tokens say.
    """
    if await people.add_profile(tx, user_id, now=now):
        await store.replace_roles(tx, user_id, frozenset(roles), now=now)
        await outbox.emit(tx, UserRegistered(user_id=user_id), source=SERVICE)
        return True
    return await people.lock_profile(tx, user_id)


class SupabaseDirectory:
    """A `Directory`: the project by its admin API, and what is kept here beside it."""

    def __init__(self, cloud: Cloud, clock: Clock) -> None:
        self._cloud = cloud
        self._clock = clock

    async def held(self, tx: Tx, user_id: UUID) -> bool:
        if await people.lock_profile(tx, user_id):
            return True
        if not await people.exists(tx, user_id):
            return False
        roles = roles_in(await self._cloud.read(user_id))
        return await settled(tx, user_id, roles, now=self._clock())

    async def replace_roles(
        self, tx: Tx, user_id: UUID, roles: frozenset[Role], *, now: datetime
    ) -> frozenset[Role]:
        before = frozenset(roles_in(await self._cloud.read(user_id)))
        await store.replace_roles(tx, user_id, roles, now=now)
        await self._cloud.change(user_id, {"app_metadata": {"roles": sorted(roles)}})
        return before

    async def set_locked(self, user_id: UUID, *, locked: bool) -> None:
        await self._cloud.change(user_id, {"ban_duration": FOR_EVER if locked else "none"})

    async def blank(self, tx: Tx, user_id: UUID) -> None:
        """The row is Supabase's: it goes as a whole, when everything else has gone."""

    async def delete(self, tx: Tx, user_id: UUID) -> None:
        await self._cloud.delete(user_id)
