"""SQL of the audit log. It is read at a desk, like everything that tells of other people."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from auth_service.audit.models import Entry, Filter
from kit.database import Tx
from privacy.audit import Record

_COLUMNS = (
    "l.seq, l.at, l.service, l.actor_kind, a.person_id as actor_id, l.actor_roles, l.action,"
    " l.outcome, array(select p.person_id from unnest(l.subjects) s (pseudonym)"
    "  left join medbot.audit_people p using (pseudonym)) as people, l.resources, l.request_id"
)
_PSEUDONYM = "(select pseudonym from medbot.audit_people where person_id = {})"
BATCH = 2000


@dataclass(frozen=True, slots=True)
class Place:
    """A number of the chain with its hash, and who signed it."""

    seq: int
    hash: bytes
    kid: str | None
    signature: bytes | None


async def page(
    record: Record, wanted: Filter, *, before: int | None, limit: int
) -> tuple[list[Entry], bool]:
    """Rows before the number `before`, newest first, and whether more follow.

    The people in them are on the record.
    """
    rows = await record.tx.fetch(
        f"select {_COLUMNS} from medbot.audit_log l"  # noqa: S608 columns are ours
        " left join medbot.audit_people a on a.pseudonym = l.actor"
        " where ($1::bigint is null or l.seq < $1)"
        f" and ($2::uuid is null or l.subjects @> array[{_PSEUDONYM.format('$2')}])"
        f" and ($3::uuid is null or l.actor = {_PSEUDONYM.format('$3')})"
        " and ($4::text is null or l.action = $4 or l.action like $4 || '.%')"
        " and ($5::timestamptz is null or l.at >= $5) and ($6::timestamptz is null or l.at < $6)"
        " order by l.seq desc limit $7",
        before,
        wanted.person,
        wanted.actor,
        wanted.action,
        wanted.since,
        wanted.until,
        limit + 1,
    )
    entries = [Entry(**row) for row in rows[:limit]]
    record.about(*{person for entry in entries for person in entry.people if person is not None})
    return entries, len(rows) > limit


async def head(tx: Tx) -> Place:
    """The newest place, as it was signed."""
    row: Any = await tx.fetchrow("select seq, hash, kid, signature from medbot.audit_head")
    return Place(**row)


async def checkpoint(tx: Tx, seq: int | None = None) -> Place | None:
    """Where the chain begins, when old rows were removed; or, by its number, where it once did."""
    row: Any = await tx.fetchrow(
        "select seq, hash, kid, signature from medbot.audit_checkpoints"
        " where $1::bigint is null or seq = $1 order by seq desc limit 1",
        seq,
    )
    return Place(**row) if row else None


async def chain(tx: Tx) -> AsyncIterator[Any]:
    """Every row as it is stored, in the order of the numbers."""
    last = -1
    while True:
        rows = await tx.fetch(
            "select seq, at, service, actor_kind, actor, actor_roles, action, outcome, subjects,"
            " resources, request_id, previous, hash from medbot.audit_log where seq > $1"
            " order by seq limit $2",
            last,
            BATCH,
        )
        for row in rows:
            yield row
        if len(rows) < BATCH:
            return
        last = rows[-1]["seq"]


async def people(tx: Tx) -> AsyncIterator[Any]:
    """Everybody whom the log can still name."""
    last = UUID(int=0)
    while True:
        rows = await tx.fetch(
            "select person_id, salt, pseudonym from medbot.audit_people where person_id > $1"
            " order by person_id limit $2",
            last,
            BATCH,
        )
        for row in rows:
            yield row
        if len(rows) < BATCH:
            return
        last = rows[-1]["person_id"]


async def has_hash(tx: Tx, digest: bytes) -> bool:
    """Whether any row has this hash."""
    return bool(await tx.fetchval("select 1 from medbot.audit_log where hash = $1", digest))


async def link_after(tx: Tx, seq: int) -> bytes | None:
    """What the row after `seq`, or the head, says that its hash is."""
    link: bytes | None = await tx.fetchval(
        "select coalesce((select previous from medbot.audit_log where seq = $1 + 1),"
        " (select hash from medbot.audit_head where seq = $1))",
        seq,
    )
    return link


async def first_about(tx: Tx, pseudonym: UUID) -> int | None:
    """The first row in which somebody stands, as actor or subject."""
    found: int | None = await tx.fetchval(
        "select min(seq) from medbot.audit_log where actor = $1 or subjects @> array[$1]",
        pseudonym,
    )
    return found


async def expired(tx: Tx, before: datetime) -> tuple[Place | None, int]:
    """The last of the rows that are all older than `before`, and how many they are."""
    row: Any = await tx.fetchrow(
        "select l.seq, l.hash, (select count(*) from medbot.audit_log o where o.seq <= l.seq)"
        " as rows from medbot.audit_log l where l.seq = coalesce("
        "  (select min(y.seq) - 1 from medbot.audit_log y where y.at >= $1),"
        "  (select max(seq) from medbot.audit_log))",
        before,
    )
    return (Place(row["seq"], row["hash"], None, None), row["rows"]) if row else (None, 0)


async def trim(tx: Tx, place: Place, kid: str, signature: bytes, *, now: datetime) -> int:
    """Removes the rows up to `place`; answers how many. Nothing goes that is under 30 days old."""
    removed: int = await tx.fetchval(
        "select medbot.audit_trim($1, $2, $3, $4, $5)",
        place.seq,
        place.hash,
        now,
        kid,
        signature,
    )
    return removed


YOUNGEST_REMOVED = timedelta(days=30)
"""What the database itself lets nobody remove."""
