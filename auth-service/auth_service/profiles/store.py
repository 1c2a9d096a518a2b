"""SQL of profiles."""

from datetime import datetime
from uuid import UUID

from auth_service.profiles.models import Profile
from kit.database import Tx


async def get(tx: Tx, user_id: UUID) -> Profile | None:
    """A profile."""
    row = await tx.fetchrow(
        "select full_name, phone, date_of_birth, locale, time_zone, consents, updated_at"
        " from public.user_profiles where user_id = $1",
        user_id,
    )
    return Profile(**row) if row else None


async def lock(tx: Tx, user_id: UUID, *, now: datetime) -> Profile:
    """The profile, made where it is missing, held until the transaction ends."""
    row = await tx.fetchrow(
        "insert into public.user_profiles as p (user_id, created_at, updated_at)"
        " values ($1, $2, $2) on conflict (user_id) do update set user_id = p.user_id"
        " returning full_name, phone, date_of_birth, locale, time_zone, consents, updated_at",
        user_id,
        now,
    )
    assert row is not None
    return Profile(**row)


async def update(tx: Tx, user_id: UUID, profile: Profile) -> None:
    """Writes every field."""
    await tx.execute(
        "update public.user_profiles set full_name = $2, phone = $3, date_of_birth = $4,"
        " locale = $5, time_zone = $6, consents = $7, updated_at = $8 where user_id = $1",
        user_id,
        profile.full_name,
        profile.phone,
        profile.date_of_birth,
        profile.locale,
        profile.time_zone,
        profile.consents,
        profile.updated_at,
    )
