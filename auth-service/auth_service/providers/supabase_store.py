"""SQL of people whose accounts Supabase keeps: what is known of them here."""

from datetime import datetime
from uuid import UUID

from auth_service.providers import Device
from kit.database import Tx


async def add_profile(tx: Tx, user_id: UUID, *, now: datetime) -> bool:
    """Makes the profile of an account; False when there is one, or no such account."""
    made = await tx.fetchval(
        "insert into public.user_profiles (user_id, full_name, created_at, updated_at)"
        " select id, nullif(left(btrim(full_name), 200), ''), $2, $2 from medbot.accounts"
        " where id = $1 on conflict do nothing returning user_id",
        user_id,
        now,
    )
    return made is not None


async def lock_profile(tx: Tx, user_id: UUID) -> bool:
    """Changes of one person wait for each other here; False when there is none."""
    found = await tx.fetchval(
        "select 1 from public.user_profiles where user_id = $1 and not medbot.is_erased(user_id)"
        " for no key update",
        user_id,
    )
    return found is not None


async def full_name(tx: Tx, user_id: UUID) -> str | None:
    """The name in somebody's profile."""
    found: str | None = await tx.fetchval(
        "select full_name from public.user_profiles where user_id = $1", user_id
    )
    return found


async def see_session(
    tx: Tx, session_id: UUID, user_id: UUID, device: Device, *, now: datetime
) -> bool:
    """Notes that a session has a new token, unless it was ended here; whether it lives here."""
    lives = await tx.fetchval(
        "insert into medbot.sessions as s (id, user_id, network, program, created_at, used_at)"
        " values ($1, $2, $3, $4, $5, $5) on conflict (id) do update"
        " set used_at = greatest(s.used_at, excluded.used_at),"
        " network = coalesce(s.network, excluded.network),"
        " program = coalesce(s.program, excluded.program)"
        " where s.ended_at is null returning true",
        session_id,
        user_id,
        device.network,
        device.program,
        now,
    )
    return lives is not None


async def exists(tx: Tx, user_id: UUID) -> bool:
    """Whether there is such an account, of somebody who was not erased."""
    found = await tx.fetchval(
        "select 1 from medbot.accounts where id = $1 and not medbot.is_erased(id)", user_id
    )
    return found is not None


async def told_roles(tx: Tx, user_id: UUID) -> object:
    """What the project keeps as somebody's roles: a list, if it was ever told any."""
    return await tx.fetchval("select told_roles from medbot.accounts where id = $1", user_id)


async def find(tx: Tx, email: str) -> UUID | None:
    """Whose normalised e-mail address this is."""
    found: UUID | None = await tx.fetchval(
        "select id from medbot.accounts where lower(email) = $1", email
    )
    return found


async def is_own(tx: Tx) -> bool:
    """Whether the table of accounts was made by our migrations, and not by Supabase."""
    found = await tx.fetchval(
        "select 1 from pg_policies where schemaname = 'auth' and tablename = 'users'"
        " and policyname = 'service_writes'"
    )
    return found is not None
