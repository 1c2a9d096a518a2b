"""SQL on `public.voice_sessions`. Times are the database's, so all instances mean the same."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from contracts.voice import EndReason, Heartbeat
from kit.database import Tx
from kit.errors import InvalidToken
from kit.identity import Actor
from kit.signals import CHANNEL
from voice_service.sessions.models import Row, TurnLatency

_COLUMNS = ", ".join(Row.model_fields)


def changed(session_id: UUID) -> str:
    """The signal that a running session should look for changes."""
    return f"voice:{session_id}"


async def lock_owner(tx: Tx, owner: Actor) -> None:
    """Until the end of the transaction nobody else makes a session for the owner."""
    await tx.execute(
        "select pg_advisory_xact_lock(hashtextextended('voice.owner:' || $1, 0))", str(owner.id)
    )


async def count_running(tx: Tx, owner: Actor) -> int:
    """The owner's sessions that have not ended."""
    found: int = await tx.fetchval(
        "select count(*) from public.voice_sessions where owner_id = $1 and ended_at is null",
        owner.id,
    )
    return found


async def unvisited(tx: Tx, owner: Actor, since: timedelta) -> list[UUID]:
    """The oldest of the owner's sessions to which nobody came for that long, if there is one."""
    rows = await tx.fetch(
        "select id from public.voice_sessions where owner_id = $1 and status = 'created'"
        " and created_at < clock_timestamp() - $2::interval order by created_at limit 1 for update",
        owner.id,
        since,
    )
    return [row["id"] for row in rows]


async def insert(tx: Tx, owner: Actor, values: dict[str, Any], join_within: timedelta) -> Row:
    """Creates a session of `owner`; `values` by column."""
    values = {
        **values,
        "owner_id": owner.id,
        "user_id": owner.id if owner.kind == "person" else None,
    }
    names = ", ".join(values)
    places = ", ".join(f"${n}" for n in range(2, len(values) + 2))
    row = await tx.fetchrow(
        f"insert into public.voice_sessions ({names}, expires_at)"  # noqa: S608 columns are ours
        f" values ({places}, clock_timestamp() + $1::interval) returning {_COLUMNS}",
        join_within,
        *values.values(),
    )
    if row is None:  # whoever was erased makes nothing more
        raise InvalidToken
    return Row(**row)


async def get(tx: Tx, session_id: UUID, *, lock: bool = False) -> Row | None:
    """A session that the actor may see; one of a deleted conversation is as good as gone."""
    row = await tx.fetchrow(
        f"select {_COLUMNS} from public.voice_sessions where id = $1"  # noqa: S608
        f" and end_reason is distinct from 'conversation_deleted'{' for update' if lock else ''}",
        session_id,
    )
    return Row(**row) if row else None


async def get_any(tx: Tx, session_id: UUID) -> Row | None:
    """A session as its worker sees it, to the last."""
    row = await tx.fetchrow(
        f"select {_COLUMNS} from public.voice_sessions where id = $1",  # noqa: S608
        session_id,
    )
    return Row(**row) if row else None


async def by_room(tx: Tx, room_name: str) -> Row | None:
    """The session of a room."""
    row = await tx.fetchrow(
        f"select {_COLUMNS} from public.voice_sessions where room_name = $1",  # noqa: S608
        room_name,
    )
    return Row(**row) if row else None


async def by_alias(tx: Tx, owner: Actor, alias: str) -> Row | None:
    """The owner's running session with the room that they call so."""
    row = await tx.fetchrow(
        f"select {_COLUMNS} from public.voice_sessions"  # noqa: S608
        " where owner_id = $1 and alias = $2 and ended_at is null",
        owner.id,
        alias,
    )
    return Row(**row) if row else None


async def list_page(
    tx: Tx, owner: Actor, after: tuple[datetime, UUID] | None, limit: int
) -> list[Row]:
    """The owner's sessions, newest first, those older than `after`."""
    rows = await tx.fetch(
        f"select {_COLUMNS} from public.voice_sessions where owner_id = $4"  # noqa: S608
        " and end_reason is distinct from 'conversation_deleted'"
        " and ($1::timestamptz is null or (created_at, id) < ($1, $2))"
        " order by created_at desc, id desc limit $3",
        *(after or (None, None)),
        limit,
        owner.id,
    )
    return [Row(**row) for row in rows]


async def configure(
    tx: Tx,
    session_id: UUID,
    *,
    instructions: str | None,
    voice_settings: dict[str, Any],
    ignored: Sequence[str],
) -> Row:
    """Changes what is given and wakes the running session."""
    row = await tx.fetchrow(
        "with gone as (select pg_notify($5, $6))"  # noqa: S608
        " update public.voice_sessions set instructions = coalesce($2, instructions),"
        " voice_settings = $3, ignored = $4,"
        f" config_version = config_version + 1 from gone where id = $1 returning {_COLUMNS}",
        session_id,
        instructions,
        voice_settings,
        list(ignored),
        CHANNEL,
        changed(session_id),
    )
    assert row is not None
    return Row(**row)


async def beat(tx: Tx, session_id: UUID, beat: Heartbeat, longest: timedelta) -> Row | None:
    """Keeps a sign of life of a session that has not ended; None when another job's is fresh."""
    row = await tx.fetchrow(
        "update public.voice_sessions set heartbeat_at = clock_timestamp(), agent_state = $2,"  # noqa: S608
        " participants = $3, holder = coalesce(nullif($4, ''), holder),"
        " joined_at = coalesce(joined_at, clock_timestamp()),"
        " started_at = case when $2 = 'initializing' then started_at"
        "   else coalesce(started_at, clock_timestamp()) end,"
        " ends_at = coalesce(ends_at, clock_timestamp() + $5::interval),"
        " status = case when status = 'active' or $2 <> 'initializing' then 'active'"
        "   else 'connecting' end"
        " where id = $1 and ended_at is null"
        " and ($4 = '' or holder is null or holder = $4)"
        f" returning {_COLUMNS}",
        session_id,
        beat.agent_state,
        beat.participants,
        beat.job,
        longest,
    )
    return Row(**row) if row else None


async def begin(tx: Tx, session_id: UUID, longest: timedelta) -> datetime:
    """Starts the longest duration, once; answers when it will be over."""
    ends: datetime = await tx.fetchval(
        "update public.voice_sessions set"
        " ends_at = coalesce(ends_at, clock_timestamp() + $2::interval)"
        " where id = $1 returning ends_at",
        session_id,
        longest,
    )
    return ends


async def join(tx: Tx, session_id: UUID) -> None:
    """Somebody has come; from now on an agent is missed."""
    await tx.execute(
        "update public.voice_sessions set joined_at = coalesce(joined_at, clock_timestamp()),"
        " dispatched_at = coalesce(dispatched_at, clock_timestamp()),"
        " status = case when status = 'created' then 'connecting' else status end"
        " where id = $1 and ended_at is null",
        session_id,
    )


async def end(tx: Tx, session_id: UUID, reason: EndReason) -> Row | None:
    """Ends a session and wakes whoever runs it; None when it had ended before."""
    row = await tx.fetchrow(
        "with told as (select pg_notify($3, $4))"  # noqa: S608
        " update public.voice_sessions set status = case when $2 = 'failed' then 'failed'"
        "  else 'ended' end, end_reason = $2, ended_at = clock_timestamp(), agent_state = null,"
        f" participants = 0 from told where id = $1 and ended_at is null returning {_COLUMNS}",
        session_id,
        reason,
        CHANNEL,
        changed(session_id),
    )
    return Row(**row) if row else None


async def deserted(tx: Tx, conversation_id: UUID) -> list[UUID]:
    """The sessions of a conversation that run with nobody in them, locked."""
    rows = await tx.fetch(
        "select id from public.voice_sessions where conversation_id = $1 and ended_at is null"
        " and status = 'active' and participants = 0 order by id for update",
        conversation_id,
    )
    return [row["id"] for row in rows]


async def open_room(tx: Tx, session_id: UUID) -> None:
    """The media server has made the room again."""
    await tx.execute("update public.voice_sessions set room_open = true where id = $1", session_id)


async def close_room(tx: Tx, session_id: UUID) -> None:
    """The media server has the room no more."""
    await tx.execute("update public.voice_sessions set room_open = false where id = $1", session_id)


async def duration(tx: Tx, session_id: UUID) -> float:
    """Seconds from its start to its end or until now."""
    seconds: float = await tx.fetchval(
        "select coalesce(extract(epoch from coalesce(ended_at, clock_timestamp()) - started_at), 0)"
        "::float8 from public.voice_sessions where id = $1",
        session_id,
    )
    return round(seconds, 3)


async def latency(tx: Tx, session_id: UUID) -> TurnLatency:
    """Percentiles over the replies whose first sound was measured."""
    row = await tx.fetchrow(
        "select percentile_cont(0.5) within group (order by ms) as p50_ms,"
        " percentile_cont(0.95) within group (order by ms) as p95_ms from ("
        "  select (latency ->> 'first_audio_ms')::float8 as ms from medbot.voice_turns"
        "  where session_id = $1 and role = 'assistant') t where ms is not null",
        session_id,
    )
    assert row is not None
    return TurnLatency(**row)


async def greeted(tx: Tx, conversation_id: UUID) -> bool:
    """Whether the assistant has spoken aloud in the conversation before."""
    found = await tx.fetchval(
        "select exists (select from medbot.voice_turns t join public.voice_sessions s"
        "  on s.id = t.session_id where s.conversation_id = $1 and t.role = 'assistant')",
        conversation_id,
    )
    return bool(found)


async def of_conversation(tx: Tx, conversation_id: UUID, *, running: bool = False) -> list[UUID]:
    """The sessions of a conversation, newest first."""
    rows = await tx.fetch(
        "select id from public.voice_sessions where conversation_id = $1"
        " and (not $2 or ended_at is null) order by created_at desc limit 100",
        conversation_id,
        running,
    )
    return [row["id"] for row in rows]


async def message_written(tx: Tx, conversation_id: UUID) -> None:
    """Wakes the running sessions of a conversation that has a newer message."""
    await tx.execute(
        "with told as (update public.voice_sessions set message_version = message_version + 1"
        "  where conversation_id = $1 and ended_at is null returning id)"
        " select pg_notify($2, 'voice:' || id) from told",
        conversation_id,
        CHANNEL,
    )


async def forget_conversation(tx: Tx, conversation_id: UUID) -> None:
    """Deletes what was said in a conversation, and its sessions but those just ended with it,
    which stay for a moment, empty, so that their agents learn of it. Idempotency keys that made
    one of them, used again, begin afresh."""
    await tx.execute(
        "delete from medbot.idempotency_keys k using public.voice_sessions s"
        " where s.conversation_id = $1 and k.owner_id = s.owner_id"
        " and k.made ->> 'session_id' = s.id::text",
        conversation_id,
    )
    await tx.execute(
        "delete from medbot.voice_turns t using public.voice_sessions s"
        " where s.id = t.session_id and s.conversation_id = $1",
        conversation_id,
    )
    await tx.execute(
        "delete from public.voice_sessions where conversation_id = $1 and not room_open"
        " and end_reason <> 'conversation_deleted'",
        conversation_id,
    )
    await tx.execute(
        "update public.voice_sessions set instructions = null, metadata = '{}',"
        " end_reason = 'conversation_deleted' where conversation_id = $1",
        conversation_id,
    )


async def change_owner(tx: Tx, guest_id: UUID, user_id: UUID) -> None:
    """What was a guest's is a person's from now on."""
    await tx.execute(
        "update public.voice_sessions set owner_id = $2, user_id = $2,"
        " alias = null where owner_id = $1",
        guest_id,
        user_id,
    )


async def forget_owner(tx: Tx, owner_id: UUID) -> None:
    """Deletes every session of somebody, with what was said in it."""
    await tx.execute("delete from public.voice_sessions where owner_id = $1", owner_id)
