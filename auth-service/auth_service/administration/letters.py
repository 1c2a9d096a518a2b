"""Dead letters: events that no attempt could handle. Either bus keeps them in one table."""

from dataclasses import dataclass
from datetime import datetime

from pydantic import ValidationError

from auth_service.administration.models import NotAnEvent
from contracts.events import Envelope
from kit.database import Tx


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """An event that was given up; `error` is the type of what was raised, never its text.

    `type` is None where what arrived was no event at all.
    """

    id: int
    queue: str
    event_id: str
    type: str | None
    attempts: int
    error: str
    died_at: datetime


async def page(tx: Tx, *, queue: str | None, after: int, limit: int) -> list[DeadLetter]:
    """Those beyond the number `after`, of one queue or of all, oldest first."""
    rows = await tx.fetch(
        "select id, queue, event_id::text as event_id, envelope ->> 'type' as type, attempts,"
        " error, died_at from medbot.dead_letters"
        " where id > $1 and ($2::text is null or queue = $2) order by id limit $3",
        after,
        queue,
        limit,
    )
    return [DeadLetter(**row) for row in rows]


async def take(tx: Tx, letter_id: int) -> tuple[str, Envelope] | None:
    """Takes a letter out of the table; answers its queue and its event, if there is one.

    Raises:
        NotAnEvent: it only looks like one.
    """
    row = await tx.fetchrow(
        "delete from medbot.dead_letters where id = $1 and envelope ? 'type'"
        " returning queue, envelope",
        letter_id,
    )
    if row is None:
        return None
    try:
        return row["queue"], Envelope.model_validate(row["envelope"])
    except ValidationError:  # its text would quote what arrived
        raise NotAnEvent from None


async def exists(tx: Tx, letter_id: int) -> bool:
    """Whether such a letter lies in the table, be it an event or not."""
    return bool(await tx.fetchval("select 1 from medbot.dead_letters where id = $1", letter_id))
