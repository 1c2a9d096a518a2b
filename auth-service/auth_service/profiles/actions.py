"""What a person may write into their profile."""

from collections.abc import Collection
from datetime import datetime, timedelta
from uuid import UUID

from auth_service.profiles import store
from auth_service.profiles.models import BirthInFuture, ChangeProfile, Profile, UnknownTimeZone
from kit.database import Tx

FURTHEST_EAST = timedelta(hours=14)


async def change(
    tx: Tx, user_id: UUID, wanted: ChangeProfile, *, now: datetime, time_zones: Collection[str]
) -> Profile:
    """Sets what was sent and answers the whole profile.

    Raises:
        BirthInFuture: nowhere on earth is it that day yet.
        UnknownTimeZone: the name is none of `time_zones`.
    """
    if wanted.date_of_birth is not None and wanted.date_of_birth > (now + FURTHEST_EAST).date():
        raise BirthInFuture
    if wanted.time_zone is not None and wanted.time_zone not in time_zones:
        raise UnknownTimeZone
    before = await store.lock(tx, user_id, now=now)
    sent = wanted.model_dump(exclude_unset=True)
    if "consents" in sent:
        sent["consents"] = sent["consents"] or {}
    profile = before.model_copy(update={**sent, "updated_at": now})
    await store.update(tx, user_id, profile)
    return profile
