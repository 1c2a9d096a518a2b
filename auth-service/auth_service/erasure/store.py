"""SQL of erasures, and of everything that the auth service itself keeps about a person."""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from uuid import UUID

from auth_service.erasure.models import Erasure, Part
from contracts.events import GuestJoined
from kit import outbox
from kit.database import Tx

OWN = (
    "delete from medbot.pending_accounts where email in"
    " (select lower(email) from medbot.accounts where id = $1)",
    "delete from medbot.mails where user_id = $1",
    "delete from medbot.mailed_tokens where user_id = $1",
    "delete from medbot.sign_in_failures where key in"
    " (select key from medbot.sign_in_places where user_id = $1)",
    "delete from medbot.sign_in_places where user_id = $1",
    "delete from medbot.guest_places where guest_id = $1",
    "delete from medbot.joined_guests where user_id = $1",
    "delete from medbot.account_locks where user_id = $1",
    "delete from medbot.account_changes where user_id = $1",
    "delete from medbot.lost_roles where user_id = $1",
    "delete from medbot.credentials where user_id = $1",
    "delete from medbot.sessions where user_id = $1",
    "delete from public.user_consents where user_id = $1",
    "delete from public.user_profiles where user_id = $1",
    "delete from public.user_roles where user_id = $1",
    "delete from medbot.exports where person_id = $1",
    "delete from medbot.idempotency_keys where owner_id = $1",
)
"""What goes at once. The account's row stays, empty, until every service has erased: other rows
refer to it, and go by themselves only where a service could not erase them first."""


async def lock_person(tx: Tx, person: UUID) -> None:
    """Waits for writers of the person's rows and keeps others out; before any row is locked."""
    await tx.execute("select pg_advisory_xact_lock(medbot.person_lock($1))", person)


async def find(tx: Tx, person: UUID) -> UUID | None:
    """The erasure of somebody."""
    found: UUID | None = await tx.fetchval(
        "select id from medbot.erasures where digest = medbot.person_digest($1)", person
    )
    return found


async def has_ended(tx: Tx, session_id: UUID | None) -> bool:
    """Whether a session was ended, also where this instance has not heard of it yet."""
    found = await tx.fetchval(
        "select 1 from medbot.ended_sessions where session_id = $1", session_id
    )
    return found is not None


async def insert(
    tx: Tx, erasure_id: UUID, person: UUID, services: Iterable[str], *, now: datetime
) -> None:
    """Records the wish and its tombstone; the first of `services` has erased already."""
    await tx.execute(
        "insert into medbot.tombstones (digest, erased_at)"
        " values (medbot.person_digest($1), $2) on conflict do nothing",
        person,
        now,
    )
    await tx.execute(
        "insert into medbot.erasures (id, person_id, digest, requested_at, told_at)"
        " values ($1, $2, medbot.person_digest($2), $3, $3)",
        erasure_id,
        person,
        now,
    )
    await tx.executemany(
        "insert into medbot.erasure_parts (erasure_id, service, erased_at) values ($1, $2, $3)",
        [(erasure_id, name, None if n else now) for n, name in enumerate(services)],
    )


async def erase_own(tx: Tx, person: UUID) -> list[UUID]:
    """Erases what auth keeps; answers the sessions that lived."""
    rows = await tx.fetch(
        "select id from medbot.sessions where user_id = $1 and ended_at is null"
        " order by id for update",
        person,
    )
    for statement in OWN:
        await tx.execute(statement, person)
    return [row["id"] for row in rows]


_EVENTS = ("outbox", "queue", "dead_letters")
_NAMING = outbox.forgetting(
    "exists (select from jsonb_each_text(e.envelope -> 'data') d where d.value = any($1::text[]))"
    " and e.envelope ->> 'type' is distinct from $2"
)


async def forget_events(tx: Tx, ids: Sequence[str]) -> None:
    """Deletes events that name one of `ids`, but those that are being handled at this moment.

    That a guest has joined stays: whoever hears of it has the guest's things to erase as well.
    """
    for statement in _NAMING:
        await tx.execute(statement, ids, GuestJoined.topic)


async def awaits_guest(tx: Tx, person: UUID) -> bool:
    """Whether it waits to be heard that a guest has joined the person."""
    found = " union all ".join(
        f"select 1 from medbot.{table} t where t.envelope ->> 'type' = $1"  # noqa: S608
        " and t.envelope -> 'data' ->> 'user_id' = $2"
        for table in _EVENTS
    )
    return await tx.fetchval(f"select exists ({found})", GuestJoined.topic, str(person)) is True


async def mark(tx: Tx, erasure_id: UUID, service: str, *, now: datetime) -> None:
    """Notes that a service has erased."""
    await tx.execute(
        "update medbot.erasure_parts set erased_at = coalesce(erased_at, $3)"
        " where erasure_id = $1 and service = $2",
        erasure_id,
        service,
        now,
    )


async def lock_ready(tx: Tx, erasure_id: UUID) -> UUID | None:
    """The person of an erasure that every service has reported and that has no receipt yet."""
    found: UUID | None = await tx.fetchval(
        "select person_id from medbot.erasures e where id = $1 and not exists"
        " (select from medbot.erasure_parts p where p.erasure_id = e.id and p.erased_at is null)"
        " for update",
        erasure_id,
    )
    return found


async def ready(tx: Tx, *, limit: int) -> list[UUID]:
    """Erasures that every service has reported and that have no receipt yet."""
    rows = await tx.fetch(
        "select id from medbot.erasures e where completed_at is null and not exists"
        " (select from medbot.erasure_parts p where p.erasure_id = e.id and p.erased_at is null)"
        " order by told_at limit $1",
        limit,
    )
    return [row["id"] for row in rows]


async def complete(tx: Tx, erasure_id: UUID, receipt: str, *, now: datetime) -> None:
    """Keeps the receipt and forgets the person's id."""
    await tx.execute(
        "update medbot.erasures set person_id = null, completed_at = $2, receipt = $3"
        " where id = $1",
        erasure_id,
        now,
        receipt,
    )


async def get(tx: Tx, erasure_id: UUID) -> Erasure | None:
    """How far an erasure is."""
    row = await tx.fetchrow(
        "select requested_at, completed_at, receipt from medbot.erasures where id = $1",
        erasure_id,
    )
    if row is None:
        return None
    parts = await tx.fetch(
        "select service, erased_at from medbot.erasure_parts where erasure_id = $1"
        " order by service",
        erasure_id,
    )
    return Erasure(
        erasure_id=erasure_id,
        status="pending" if row["completed_at"] is None else "complete",
        services=[
            Part(
                service=part["service"],
                state="pending" if part["erased_at"] is None else "erased",
                erased_at=part["erased_at"],
            )
            for part in parts
        ],
        **row,
    )


async def overdue(
    tx: Tx, *, after: timedelta, now: datetime, limit: int
) -> list[tuple[UUID, UUID]]:
    """Erasures whose services were told so long ago and are not done; they count as told now."""
    rows = await tx.fetch(
        "update medbot.erasures set told_at = $1::timestamptz where id in"
        " (select id from medbot.erasures where completed_at is null"
        " and told_at <= $1::timestamptz - $2::interval order by told_at limit $3"
        " for update skip locked) returning id, person_id",
        now,
        after,
        limit,
    )
    return [(row["id"], row["person_id"]) for row in rows]


async def digest(tx: Tx, erasure_id: UUID) -> bytes:
    """What a receipt says whose rows were erased."""
    found: bytes = await tx.fetchval("select digest from medbot.erasures where id = $1", erasure_id)
    return found
