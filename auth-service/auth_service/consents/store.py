"""SQL of consents: rows are added, never changed."""

from collections.abc import Sequence
from uuid import UUID

from auth_service.consents.models import Decision
from kit.database import Tx


async def latest(tx: Tx, user_id: UUID) -> dict[str, Decision]:
    """The standing decision of each name; a name whose answer was taken back is not there."""
    rows = await tx.fetch(
        "select distinct on (name) name, given, wording, locale, decided_at"
        " from public.user_consents where user_id = $1 order by name, id desc",
        user_id,
    )
    return {row["name"]: Decision(**row) for row in rows if row["given"] is not None}


async def history(tx: Tx, user_id: UUID, *, limit: int) -> list[Decision]:
    """Decisions, the latest first."""
    rows = await tx.fetch(
        "select name, given, wording, locale, decided_at from public.user_consents"
        " where user_id = $1 order by id desc limit $2",
        user_id,
        limit,
    )
    return [Decision(**row) for row in rows]


async def add(tx: Tx, user_id: UUID, decisions: Sequence[Decision]) -> None:
    """Records decisions."""
    await tx.executemany(
        "insert into public.user_consents (user_id, name, given, wording, locale, decided_at)"
        " values ($1, $2, $3, $4, $5, $6)",
        [
            (user_id, each.name, each.given, each.wording, each.locale, each.decided_at)
            for each in decisions
        ],
    )
