"""SQL on `medbot.voice_turns`."""

from typing import Any
from uuid import UUID

from contracts.voice import SpokenTurn
from kit.database import Tx
from kit.signals import CHANNEL

_COLUMNS = (
    "seq, role, text, interrupted, started_at, ended_at, latency, citations, triage, usage, open"
)


def recorded(session_id: UUID) -> str:
    """The signal that a session has another turn."""
    return f"turns:{session_id}"


async def insert(tx: Tx, session_id: UUID, turn: SpokenTurn) -> None:
    """Stores the next turn; its session is locked."""
    values: dict[str, Any] = turn.model_dump()
    await tx.execute(
        f"insert into medbot.voice_turns (session_id, {_COLUMNS})"  # noqa: S608 columns are ours
        " values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)",
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


async def rewrite(tx: Tx, session_id: UUID, turn: SpokenTurn) -> None:
    """What is known of an open turn by now; its session is locked."""
    await tx.execute(
        "update medbot.voice_turns set text = $3, interrupted = $4, ended_at = $5, latency = $6,"
        " citations = $7, triage = $8, usage = $9, open = $10, recorded_at = clock_timestamp()"
        " where session_id = $1 and seq = $2 and open",
        session_id,
        turn.seq,
        turn.text,
        turn.interrupted,
        turn.ended_at,
        turn.latency.model_dump(),
        list(turn.citations),
        turn.triage,
        list(turn.usage),
        turn.open,
    )
    if not turn.open:
        await tx.execute("select pg_notify($1, $2)", CHANNEL, recorded(session_id))


async def close_open(tx: Tx, session_id: UUID) -> int | None:
    """Whoever spoke is gone: what is known of open turns is all that was said. The highest of
    their numbers, None when there were none."""
    closed: int | None = await tx.fetchval(
        "with closed as (update medbot.voice_turns set open = false,"
        "  interrupted = (role = 'assistant') where session_id = $1 and open returning seq)"
        " select max(seq) from closed",
        session_id,
    )
    if closed is not None:
        await tx.execute("select pg_notify($1, $2)", CHANNEL, recorded(session_id))
    return closed


async def some_open(tx: Tx, session_id: UUID) -> bool:
    """Whether a turn of a session is not over."""
    found = await tx.fetchval(
        "select exists (select from medbot.voice_turns where session_id = $1 and open)", session_id
    )
    return bool(found)


async def left_open(tx: Tx, ended_before: float, limit: int) -> list[UUID]:
    """Sessions that ended longer ago than so many seconds with a turn that is not over."""
    rows = await tx.fetch(
        "select distinct t.session_id from medbot.voice_turns t"
        " join public.voice_sessions s on s.id = t.session_id"
        " where t.open and s.ended_at < clock_timestamp() - make_interval(secs => $1) limit $2",
        ended_before,
        limit,
    )
    return [row["session_id"] for row in rows]


async def silent(tx: Tx, conversation_id: UUID, seconds: float) -> list[UUID]:
    """The running sessions of a conversation of whose open turns nothing was heard for so long,
    nor any sign of life, locked. None while the database is not up for longer than that: nobody
    could give one."""
    rows = await tx.fetch(
        "select s.id from public.voice_sessions s where s.conversation_id = $1"
        " and s.ended_at is null and s.heartbeat_at < clock_timestamp() - make_interval(secs => $2)"
        " and (select max(t.recorded_at) from medbot.voice_turns t"
        "  where t.session_id = s.id and t.open) < clock_timestamp() - make_interval(secs => $2)"
        " and pg_postmaster_start_time() < clock_timestamp() - make_interval(secs => $2 * 2)"
        " order by s.id for update",
        conversation_id,
        seconds,
    )
    return [row["id"] for row in rows]


async def get(tx: Tx, session_id: UUID, seq: int) -> SpokenTurn | None:
    """One turn, open or not."""
    row = await tx.fetchrow(
        f"select {_COLUMNS} from medbot.voice_turns where session_id = $1 and seq = $2",  # noqa: S608
        session_id,
        seq,
    )
    return SpokenTurn.model_validate(dict(row)) if row is not None else None


async def after(tx: Tx, session_id: UUID, seq: int, limit: int) -> list[SpokenTurn]:
    """Turns beyond `seq` that are over, in order, up to the first that is not."""
    rows = await tx.fetch(
        f"select {_COLUMNS} from medbot.voice_turns where session_id = $1 and seq > $2"  # noqa: S608
        " and seq < coalesce((select min(seq) from medbot.voice_turns"
        "  where session_id = $1 and open), seq + 1) order by seq limit $3",
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
