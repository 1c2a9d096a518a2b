"""SQL of profiles."""

from datetime import datetime
from uuid import UUID

from auth_service.profiles.models import Profile
from kit.database import Tx


async def get(tx: Tx, user_id: UUID) -> Profile | None:
    """A profile, without its consents: they are rows of their own."""
    row = await tx.fetchrow(
        "select full_name, phone, date_of_birth, locale, time_zone, updated_at"
        " from public.user_profiles where user_id = $1",
        user_id,
    )
    return Profile(**row) if row else None


async def lock(tx: Tx, user_id: UUID, *, now: datetime) -> Profile | None:
    """The profile, made where it is missing, held until the transaction ends.

    None for somebody who was erased.
    """
    row = await tx.fetchrow(
        "insert into public.user_profiles as p (user_id, created_at, updated_at)"
        " values ($1, $2, $2) on conflict (user_id) do update set user_id = p.user_id"
        " returning full_name, phone, date_of_birth, locale, time_zone, updated_at",
        user_id,
        now,
    )
    return Profile(**row) if row else None


async def update(tx: Tx, user_id: UUID, profile: Profile) -> None:
    """Writes every field but the consents."""
    await tx.execute(
        "update public.user_profiles set full_name = $2, phone = $3, date_of_birth = $4,"
        " locale = $5, time_zone = $6, updated_at = $7 where user_id = $1",
        user_id,
        profile.full_name,
        profile.phone,
        profile.date_of_birth,
        profile.locale,
        profile.time_zone,
        profile.updated_at,
    )
