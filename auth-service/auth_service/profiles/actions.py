"""What a person may write into their profile."""

from collections.abc import Collection
from datetime import datetime, timedelta
from uuid import UUID

from auth_service.consents import actions as consents
from auth_service.consents import store as consents_store
from auth_service.consents.wordings import Wordings
from auth_service.profiles import store
from auth_service.profiles.models import BirthInFuture, ChangeProfile, Profile, UnknownTimeZone
from kit.database import Tx
from kit.errors import InvalidToken

FURTHEST_EAST = timedelta(hours=14)


async def read(tx: Tx, user_id: UUID) -> Profile:
    """The profile with the consents that stand; an empty one where nothing was ever set."""
    profile = await store.get(tx, user_id) or Profile()
    return await _with_consents(tx, user_id, profile)


async def change(
    tx: Tx,
    user_id: UUID,
    wanted: ChangeProfile,
    *,
    now: datetime,
    time_zones: Collection[str],
    wordings: Wordings,
) -> Profile:
    """Sets what was sent and answers the whole profile.

    Raises:
        BirthInFuture: nowhere on earth is it that day yet.
        UnknownTimeZone: the name is none of `time_zones`.
        UnknownConsent: nobody is asked for a consent of that name.
        InvalidToken: the person was erased.
    """
    if wanted.date_of_birth is not None and wanted.date_of_birth > (now + FURTHEST_EAST).date():
        raise BirthInFuture
    if wanted.time_zone is not None and wanted.time_zone not in time_zones:
        raise UnknownTimeZone
    before = await store.lock(tx, user_id, now=now)
    if before is None:
        raise InvalidToken
    sent = wanted.model_dump(exclude_unset=True, exclude={"consents"})
    profile = before.model_copy(update={**sent, "updated_at": now})
    await store.update(tx, user_id, profile)
    if "consents" in wanted.model_fields_set:
        await consents.decide(
            tx, user_id, wanted.consents or {}, wordings, locale=profile.locale, now=now
        )
    return await _with_consents(tx, user_id, profile)


async def _with_consents(tx: Tx, user_id: UUID, profile: Profile) -> Profile:
    standing = await consents_store.latest(tx, user_id)
    given = {name: bool(decision.given) for name, decision in standing.items()}
    return profile.model_copy(update={"consents": given})
