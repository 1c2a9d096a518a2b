"""Accounts of a Supabase project, as administrators and erasure change them."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any
from uuid import UUID

from supabase_auth import types

from auth_service.accounts.models import User
from auth_service.providers import store
from auth_service.providers import supabase_changes as changes
from auth_service.providers import supabase_store as people
from auth_service.providers.supabase_cloud import Cloud
from auth_service.providers.supabase_errors import (
    IdentityBusy,
    IdentityUnavailable,
    NoAnswer,
    NoServiceKey,
)
from contracts.events import UserRegistered
from kit import background, logs, outbox
from kit.database import CONNECTION_ERRORS, Clock, Database, Tx
from kit.errors import DomainError, NotFound, ServiceUnavailable
from kit.identity import Actor, Role

SERVICE = "auth"
ACTOR = Actor.of_service(SERVICE)
FOR_EVER = "876000h"
"""A hundred years, in the only unit that a ban takes."""
LOOK_EVERY = 30.0
AT_ONCE = 100

_log = logs.get(__name__)


def roles_in(user: types.User) -> list[Role]:
    """What `app_metadata.roles` says, which only the project's service may write."""
    return roles_of(user.app_metadata.get("roles"))


def roles_of(named: object) -> list[Role]:
    """The roles that such a value names; whoever has none is a patient."""
    if not isinstance(named, list):
        return [Role.PATIENT]
    return sorted(role for role in Role if role in named)


def user_of(found: types.User, full_name: str | None) -> User:
    """An account as the API shows it; `full_name` is the profile's."""
    said = found.user_metadata.get("full_name")
    return User(
        id=UUID(found.id),
        email=found.email or "",
        full_name=full_name or (said[:200] if isinstance(said, str) and said else None),
        roles=roles_in(found),
        created_at=found.created_at,
    )


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

    def __init__(self, db: Database, cloud: Cloud, clock: Clock) -> None:
        self._db = db
        self._cloud = cloud
        self._clock = clock

    def check(self) -> None:
        if self._cloud.service_key is None:
            raise NoServiceKey

    async def held(self, tx: Tx, user_id: UUID) -> bool:
        if await people.lock_profile(tx, user_id):
            return True
        if not await people.exists(tx, user_id):
            return False
        roles = roles_of(await people.told_roles(tx, user_id))
        return await settled(tx, user_id, roles, now=self._clock())

    async def replace_roles(
        self, tx: Tx, user_id: UUID, roles: frozenset[Role], *, now: datetime
    ) -> frozenset[Role]:
        """Tokens may carry what the project knows, and soon what it was to be told: both end."""
        told = frozenset(roles_of(await people.told_roles(tx, user_id)))
        copied = await store.replace_roles(tx, user_id, roles, now=now)
        await changes.note(tx, user_id, roles=roles, now=now)
        await changes.withhold(tx, user_id, roles, now=now)
        return told | copied

    async def set_locked(self, tx: Tx, user_id: UUID, *, locked: bool, now: datetime) -> None:
        await changes.note(tx, user_id, locked=locked, now=now)

    async def tell(self, user_id: UUID) -> None:
        try:
            while await self._told_one(user_id):
                pass
        except (IdentityUnavailable, IdentityBusy) as refused:
            _log.warning("supabase.told_later", code=refused.code)

    async def tell_for_ever(self) -> None:
        """Tells what nobody has told yet, such as a process that was killed over it."""
        await background.every(LOOK_EVERY, self.look)

    async def look(self) -> None:
        """One round of it."""
        try:
            async with self._db.transaction(ACTOR) as tx:
                waiting = await changes.untold(tx, now=self._clock(), limit=AT_ONCE)
            for user_id in waiting:
                await self.tell(user_id)
        except (*CONNECTION_ERRORS, ServiceUnavailable, NoServiceKey) as error:
            _log.warning("supabase.look_waiting", **logs.failure(error))

    async def blank(self, tx: Tx, user_id: UUID) -> None:
        """The row is Supabase's: it goes as a whole, when everything else has gone."""

    async def forget(self, user_id: UUID) -> None:
        await self._cloud.delete(user_id)

    async def delete(self, tx: Tx, user_id: UUID) -> None:
        """`forget` had it deleted."""

    async def _told_one(self, user_id: UUID) -> bool:
        """Whether something was told, so that there may be more."""
        async with self._db.transaction(ACTOR) as tx:
            change = await changes.lease(tx, user_id, now=self._clock())
        if change is None:
            return False
        try:
            await self._cloud.change(user_id, _attributes(change))
        except NotFound:
            _log.warning("supabase.account_gone")  # there is nobody to tell it of
        except NoAnswer:
            raise  # it may be done yet: until the lease is over nothing newer may be told
        except DomainError:
            async with self._db.transaction(ACTOR) as tx:
                await changes.give_back(tx, user_id, change)
            raise
        async with self._db.transaction(ACTOR) as tx:
            await changes.settle(tx, user_id, change, now=self._clock())
        return True


def _attributes(change: changes.Change) -> types.AdminUserAttributes:
    said: Any = {}
    if change.roles is not None:
        said["app_metadata"] = {"roles": list(change.roles)}
    if change.locked is not None:
        said["ban_duration"] = FOR_EVER if change.locked else "none"
    attributes: types.AdminUserAttributes = said
    return attributes
