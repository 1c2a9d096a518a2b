"""SQL of what waits for somebody to follow a mailed link: accounts, new passwords."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from kit.database import Tx

LINK_LIFE = timedelta(hours=1)
"""How long a mailed link can be followed after its mail was sent."""

PENDING_LIFE = timedelta(hours=48)
"""How long an account waits for its address; longer than any mail is tried."""


@dataclass(frozen=True, slots=True)
class Pending:
    """An account that waits."""

    id: UUID
    email: str
    password_hash: str
    full_name: str | None


async def insert_pending(tx: Tx, pending: Pending, *, now: datetime) -> None:
    """An account that is to wait for its address."""
    await tx.execute(
        "insert into medbot.pending_accounts (id, email, password_hash, full_name, created_at)"
        " values ($1, $2, $3, $4, $5)",
        pending.id,
        pending.email,
        pending.password_hash,
        pending.full_name,
        now,
    )


async def take_pending(tx: Tx, digest: bytes, *, now: datetime) -> Pending | None:
    """Uses up a token; the account that waited for it, gone with all others of its address."""
    row = await tx.fetchrow(
        "delete from medbot.mailed_tokens t using medbot.pending_accounts p"
        " where t.digest = $1 and t.purpose = 'verify' and t.expires_at > $2"
        " and p.id = t.pending_id returning p.id, p.email, p.password_hash, p.full_name",
        digest,
        now,
    )
    if row is None:
        return None
    pending = Pending(**row)
    await tx.execute("delete from medbot.pending_accounts where email = $1", pending.email)
    return pending


async def insert_token(
    tx: Tx, digest: bytes, purpose: str, whom: UUID, *, expires_at: datetime
) -> None:
    """A token that is about to be mailed, to a person or to a pending account."""
    column = "pending_id" if purpose == "verify" else "user_id"
    await tx.execute(
        f"insert into medbot.mailed_tokens (digest, purpose, {column}, expires_at)"  # noqa: S608
        " values ($1, $2, $3, $4)",
        digest,
        purpose,
        whom,
        expires_at,
    )


async def take_reset(tx: Tx, digest: bytes, *, now: datetime) -> UUID | None:
    """Uses up a token, and with it every other of the same person; who that is."""
    user_id: UUID | None = await tx.fetchval(
        "delete from medbot.mailed_tokens where digest = $1 and purpose = 'reset'"
        " and expires_at > $2 returning user_id",
        digest,
        now,
    )
    if user_id is not None:
        await forget_resets(tx, user_id)
    return user_id


async def forget_resets(tx: Tx, user_id: UUID) -> None:
    """No link that was mailed before sets a password any more."""
    await tx.execute("delete from medbot.mailed_tokens where user_id = $1", user_id)


async def forget_old(tx: Tx, *, now: datetime) -> None:
    """Deletes expired links and accounts whose address nobody confirmed."""
    await tx.execute("delete from medbot.mailed_tokens where expires_at <= $1", now)
    await tx.execute(
        "delete from medbot.pending_accounts where created_at < $1", now - PENDING_LIFE
    )
