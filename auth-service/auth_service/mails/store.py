"""SQL of mails on their way."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from kit.database import Tx
from kit.signals import CHANNEL

TOPIC = "mails"
KEPT = timedelta(hours=24)


@dataclass(frozen=True, slots=True)
class Mail:
    """A mail that is due; `email` is None when there is nobody to write to."""

    id: UUID
    kind: str
    user_id: UUID | None
    pending_id: UUID | None
    recipient: bytes
    attempts: int
    created_at: datetime
    email: str | None
    known: bool
    """Whether the address has an account."""


async def to_address(
    tx: Tx, mail_id: UUID, kind: str, email: str, recipient: bytes, *, now: datetime
) -> None:
    """A mail to whoever has the account with this address, if anybody."""
    await tx.execute(
        "with m as (insert into medbot.mails (id, kind, user_id, recipient, created_at, due_at)"
        " select $1, $2, (select id from medbot.accounts where lower(email) = $3), $4, $5, $5)"
        " select pg_notify($6, $7)",
        mail_id,
        kind,
        email,
        recipient,
        now,
        CHANNEL,
        TOPIC,
    )


async def to_pending(
    tx: Tx, mail_id: UUID, pending_id: UUID, recipient: bytes, *, now: datetime
) -> None:
    """A mail to an account that waits for its address."""
    await tx.execute(
        "with m as (insert into medbot.mails (id, kind, pending_id, recipient, created_at, due_at)"
        " values ($1, 'verify', $2, $3, $4, $4)) select pg_notify($5, $6)",
        mail_id,
        pending_id,
        recipient,
        now,
        CHANNEL,
        TOPIC,
    )


async def claim(tx: Tx, *, now: datetime, lease: timedelta) -> Mail | None:
    """The next mail that is due; nobody else gets it before the lease has passed."""
    row = await tx.fetchrow(
        "with due as (select id from medbot.mails where done_at is null and due_at <= $1"
        "  order by due_at, id limit 1 for update skip locked),"
        " m as (update medbot.mails m set attempts = attempts + 1, due_at = $1 + $2::interval"
        "  from due where m.id = due.id returning m.*)"
        " select m.id, m.kind, m.user_id, m.pending_id, m.recipient, m.attempts, m.created_at,"
        " coalesce(u.email, p.email) as email,"
        " exists (select from medbot.accounts k where lower(k.email) = coalesce(u.email, p.email))"
        "  as known"
        " from m left join medbot.accounts u on u.id = m.user_id"
        " left join medbot.pending_accounts p on p.id = m.pending_id",
        now,
        lease,
    )
    return Mail(**row) if row else None


async def count_done(tx: Tx, recipient: bytes, *, since: datetime) -> int:
    """How many mails one address got of late."""
    count: int = await tx.fetchval(
        "select count(*) from medbot.mails where recipient = $1 and done_at > $2", recipient, since
    )
    return count


async def done(tx: Tx, mail_id: UUID, *, now: datetime) -> None:
    """The mail has left."""
    await tx.execute("update medbot.mails set done_at = $2 where id = $1", mail_id, now)


async def put_off(tx: Tx, mail_id: UUID, *, until: datetime) -> None:
    """The mail is tried again later."""
    await tx.execute("update medbot.mails set due_at = $2 where id = $1", mail_id, until)


async def delete(tx: Tx, mail_id: UUID) -> None:
    """The mail will not be sent."""
    await tx.execute("delete from medbot.mails where id = $1", mail_id)


async def forget_old(tx: Tx, *, now: datetime) -> None:
    """Deletes mails that have left."""
    await tx.execute("delete from medbot.mails where done_at < $1", now - KEPT)
