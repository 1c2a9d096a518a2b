"""SQL on other people's accounts. Whoever calls it stands at a desk: it takes a `Record`."""

from datetime import datetime
from uuid import UUID

from auth_service.administration.models import Person, PersonSession
from kit.identity import Role
from privacy.audit import Record

_PERSON = (
    "u.id, u.email, p.full_name, u.created_at, k.locked_at,"
    " array(select r.role from public.user_roles r where r.user_id = u.id order by r.role) as roles"
)
_PEOPLE = (
    "public.user_profiles p join medbot.accounts u on u.id = p.user_id"
    " left join medbot.account_locks k on k.user_id = u.id"
)


async def find(
    record: Record,
    *,
    email: str | None,
    role: Role | None,
    locked: bool | None,
    after: tuple[datetime, UUID] | None,
    limit: int,
) -> tuple[list[Person], tuple[datetime, UUID] | None]:
    """Accounts, newest first, and the place of the last one if more follow.

    `email` is any part of the address.
    """
    rows = await record.tx.fetch(
        f"select {_PERSON}, p.created_at as place from {_PEOPLE}"  # noqa: S608 columns are ours
        " where ($1::timestamptz is null or (p.created_at, p.user_id) < ($1, $2))"
        " and ($3::text is null or position(lower($3) in lower(u.email)) > 0)"
        " and ($4::text is null or exists (select from public.user_roles r"
        "  where r.user_id = u.id and r.role = $4))"
        " and ($5::boolean is null or (k.user_id is not null) = $5)"
        " order by p.created_at desc, p.user_id desc limit $6",
        *(after or (None, None)),
        email,
        role,
        locked,
        limit + 1,
    )
    shown = rows[:limit]
    record.about(*(row["id"] for row in shown))
    people = [Person(**{name: row[name] for name in Person.model_fields}) for row in shown]
    last = shown[-1] if len(rows) > limit else None
    return people, (last["place"], last["id"]) if last else None


async def get(record: Record, person_id: UUID) -> Person | None:
    """One account."""
    row = await record.tx.fetchrow(
        f"select {_PERSON} from {_PEOPLE} where u.id = $1",  # noqa: S608 columns are ours
        person_id,
    )
    record.about(person_id)
    return Person(**row) if row else None


async def by_email(record: Record, email: str) -> UUID | None:
    """Whose normalised e-mail address this is."""
    found: UUID | None = await record.tx.fetchval(
        "select id from medbot.accounts where lower(email) = $1", email
    )
    if found is not None:
        record.about(found)
    return found


async def list_sessions(record: Record, person_id: UUID) -> list[PersonSession]:
    """The sessions of somebody that have not ended, the last used first; 1,000 at most."""
    rows = await record.tx.fetch(
        "select id, created_at, used_at from medbot.sessions"
        " where user_id = $1 and ended_at is null order by used_at desc, id limit 1000",
        person_id,
    )
    record.about(person_id)
    return [PersonSession(**row) for row in rows]


async def lock(record: Record, person_id: UUID, *, now: datetime) -> None:
    """From now on the account opens no session."""
    await record.tx.execute(
        "insert into medbot.account_locks (user_id, locked_at) values ($1, $2)"
        " on conflict do nothing",
        person_id,
        now,
    )


async def unlock(record: Record, person_id: UUID) -> None:
    """The account may sign in again."""
    await record.tx.execute("delete from medbot.account_locks where user_id = $1", person_id)
