"""SQL of the local provider."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import asyncpg

from auth_service.accounts.models import EmailTaken, User
from auth_service.sessions.models import OpenSession
from kit.database import Tx
from kit.identity import Role

MOST_SESSIONS = 1000
"""More nobody has open: the list is not cut into pages."""


@dataclass(frozen=True, slots=True)
class Credentials:
    """What an account signs in with."""

    user_id: UUID
    password_hash: str


@dataclass(frozen=True, slots=True)
class HeldToken:
    """A refresh token and its session, which is locked."""

    session_id: UUID
    user_id: UUID
    signed_in_at: datetime
    created_at: datetime
    used_at: datetime | None
    ended_at: datetime | None


async def insert_account(
    tx: Tx, user_id: UUID, email: str, password_hash: str, full_name: str | None, *, now: datetime
) -> None:
    """Raises EmailTaken."""
    try:
        await tx.execute(
            "insert into auth.users (id, email, created_at) values ($1, $2, $3)",
            user_id,
            email,
            now,
        )
    except asyncpg.UniqueViolationError:
        raise EmailTaken from None
    await tx.execute(
        "insert into medbot.credentials (user_id, password_hash, updated_at) values ($1, $2, $3)",
        user_id,
        password_hash,
        now,
    )
    await tx.execute(
        "insert into public.user_profiles (user_id, full_name, created_at, updated_at)"
        " values ($1, $2, $3, $3)",
        user_id,
        full_name,
        now,
    )


async def get_user(tx: Tx, user_id: UUID) -> User | None:
    """An account with its roles."""
    row = await tx.fetchrow(
        "select u.id, u.email, p.full_name, u.created_at,"
        " array(select r.role from public.user_roles r where r.user_id = u.id order by r.role)"
        " as roles"
        " from auth.users u left join public.user_profiles p on p.user_id = u.id where u.id = $1"
        " and not medbot.is_erased(u.id)",
        user_id,
    )
    return User(**row) if row else None


async def get_credentials(tx: Tx, email: str) -> Credentials | None:
    """By normalised e-mail address.

    It asks the view: under the policies of the table itself, `lower` would see every row before
    them, so PostgreSQL reads the whole table instead of the index.
    """
    row = await tx.fetchrow(
        "select c.user_id, c.password_hash from medbot.accounts a"
        " join medbot.credentials c on c.user_id = a.id where lower(a.email) = $1",
        email,
    )
    return Credentials(**row) if row else None


async def credentials_of(tx: Tx, user_id: UUID) -> Credentials | None:
    """By account."""
    row = await tx.fetchrow(
        "select user_id, password_hash from medbot.credentials where user_id = $1", user_id
    )
    return Credentials(**row) if row else None


async def set_password_hash(tx: Tx, user_id: UUID, password_hash: str, *, now: datetime) -> None:
    """Replaces the hash."""
    await tx.execute(
        "update medbot.credentials set password_hash = $2, updated_at = $3 where user_id = $1",
        user_id,
        password_hash,
        now,
    )


async def lock_account(tx: Tx, user_id: UUID) -> bool:
    """Sign-ins and changes of one account wait for each other here; False when there is none."""
    found = await tx.fetchval(
        "select 1 from auth.users where id = $1 and not medbot.is_erased(id) for no key update",
        user_id,
    )
    return found is not None


async def is_locked(tx: Tx, user_id: UUID) -> bool:
    """Whether an administrator has locked the account; `lock_account` comes before."""
    found = await tx.fetchval("select 1 from medbot.account_locks where user_id = $1", user_id)
    return found is not None


async def replace_roles(
    tx: Tx, user_id: UUID, roles: frozenset[Role], *, now: datetime
) -> frozenset[Role]:
    """Answers the roles that were there before."""
    rows = await tx.fetch(
        "delete from public.user_roles where user_id = $1 returning role", user_id
    )
    await tx.execute(
        "insert into public.user_roles (user_id, role, created_at)"
        " select $1, unnest($2::text[]), $3",
        user_id,
        sorted(roles),
        now,
    )
    return frozenset(Role(row["role"]) for row in rows)


async def insert_session(
    tx: Tx,
    session_id: UUID,
    user_id: UUID,
    *,
    network: str | None,
    program: str | None,
    now: datetime,
) -> None:
    """A session that begins."""
    await tx.execute(
        "insert into medbot.sessions (id, user_id, network, program, created_at, used_at)"
        " values ($1, $2, $3, $4, $5, $5)",
        session_id,
        user_id,
        network,
        program,
        now,
    )


async def list_sessions(
    tx: Tx, user_id: UUID, current: UUID, *, used_after: datetime
) -> list[OpenSession]:
    """The sessions of a person that live, the last used first."""
    rows = await tx.fetch(
        "select id, created_at, used_at, network, program, id = $2 as current"
        " from medbot.sessions where user_id = $1 and ended_at is null and used_at > $3"
        " order by used_at desc, id limit $4",
        user_id,
        current,
        used_after,
        MOST_SESSIONS,
    )
    return [OpenSession(**row) for row in rows]


async def delete_sessions_before(tx: Tx, user_id: UUID, before: datetime) -> None:
    """Forgets sessions of a person that nobody has used since."""
    await tx.execute(
        "delete from medbot.sessions where id in (select id from medbot.sessions"
        " where user_id = $1 and used_at < $2 order by id for update skip locked)",
        user_id,
        before,
    )


async def session_lives(tx: Tx, session_id: UUID) -> bool:
    """Whether there is such a session and it has not ended."""
    found = await tx.fetchval(
        "select 1 from medbot.sessions where id = $1 and ended_at is null", session_id
    )
    return found is not None


async def end_sessions(
    tx: Tx,
    user_id: UUID,
    *,
    session_id: UUID | None,
    now: datetime,
    spare: UUID | None = None,
) -> list[UUID]:
    """Ends one session of a person or, without `session_id`, all but `spare`; answers those that
    lived."""
    rows = await tx.fetch(
        "update medbot.sessions set ended_at = $3 where ended_at is null and id in"
        " (select id from medbot.sessions where user_id = $1 and ($2::uuid is null or id = $2)"
        " and id is distinct from $4 order by id for update) returning id",
        user_id,
        session_id,
        now,
        spare,
    )
    return [row["id"] for row in rows]


async def insert_token(tx: Tx, digest: bytes, session_id: UUID, *, now: datetime) -> None:
    """A refresh token that was just given out."""
    await tx.execute(
        "insert into medbot.refresh_tokens (digest, session_id, created_at) values ($1, $2, $3)",
        digest,
        session_id,
        now,
    )


async def lock_token(tx: Tx, digest: bytes) -> HeldToken | None:
    """A refresh token as it is now; exchanges of one session wait for each other here.

    The session is locked and its tokens are not: whoever deletes a session holds it before they
    go, and would wait here in a ring. So the token is read once its session is held.
    """
    await tx.execute(
        "select 1 from medbot.sessions where id ="
        " (select session_id from medbot.refresh_tokens where digest = $1) for update",
        digest,
    )
    row = await tx.fetchrow(
        "select t.session_id, s.user_id, s.created_at as signed_in_at, t.created_at, t.used_at,"
        " s.ended_at from medbot.refresh_tokens t join medbot.sessions s on s.id = t.session_id"
        " where t.digest = $1",
        digest,
    )
    return HeldToken(**row) if row else None


async def mark_used(tx: Tx, digest: bytes, session_id: UUID, *, now: datetime) -> None:
    """The token was exchanged; the first time counts."""
    await tx.execute(
        "update medbot.refresh_tokens set used_at = coalesce(used_at, $2) where digest = $1",
        digest,
        now,
    )
    await tx.execute("update medbot.sessions set used_at = $2 where id = $1", session_id, now)
