"""SQL on `medbot.voice_turns`."""

from typing import Any
from uuid import UUID

from contracts.voice import SpokenTurn
from kit.database import Tx
from kit.signals import CHANNEL

_COLUMNS = "seq, role, text, interrupted, started_at, ended_at, latency, citations, triage, usage"


def recorded(session_id: UUID) -> str:
    """The signal that a session has another turn."""
    return f"turns:{session_id}"


async def insert(tx: Tx, session_id: UUID, turn: SpokenTurn) -> None:
    """Stores the next turn; its session is locked."""
    values: dict[str, Any] = turn.model_dump()
    await tx.execute(
        f"insert into medbot.voice_turns (session_id, {_COLUMNS})"  # noqa: S608 columns are ours
        " values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)",
        session_id,
        *(values[name.strip()] for name in _COLUMNS.split(",")),
    )
    await tx.execute(
        "with counted as (update public.voice_sessions set last_seq = $2 where id = $1)"
        " select pg_notify($3, $4)",
        session_id,
        turn.seq,
        CHANNEL,
        recorded(session_id),
    )


async def get(tx: Tx, session_id: UUID, seq: int) -> SpokenTurn | None:
    """One turn."""
    found = await after(tx, session_id, seq - 1, 1)
    return found[0] if found and found[0].seq == seq else None


async def after(tx: Tx, session_id: UUID, seq: int, limit: int) -> list[SpokenTurn]:
    """Turns beyond `seq`, in order."""
    rows = await tx.fetch(
        f"select {_COLUMNS} from medbot.voice_turns where session_id = $1 and seq > $2"  # noqa: S608
        " order by seq limit $3",
        session_id,
        seq,
        limit,
    )
    return [SpokenTurn.model_validate(dict(row)) for row in rows]


async def late(tx: Tx, session_id: UUID, within: float) -> bool:
    """Whether a session ended longer ago than `within` seconds."""
    found = await tx.fetchval(
        "select ended_at < clock_timestamp() - make_interval(secs => $2)"
        " from public.voice_sessions where id = $1",
        session_id,
        within,
    )
    return bool(found)
