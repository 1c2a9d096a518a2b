"""SQL that ties voice sessions to conversations and stores turns as messages."""

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from contracts.events import MessageCreated
from contracts.voice import Channel, Earlier, SpokenTurn
from conversation_service.feed import store as feed
from conversation_service.replies.store import SOURCE
from conversation_service.voice import models
from kit import outbox
from kit.database import Tx


@dataclass(frozen=True, slots=True)
class Link:
    """How much of a session is in its conversation; `owner_id` is the conversation's."""

    session_id: UUID
    conversation_id: UUID
    owner_id: UUID
    last_seq: int
    ended: bool


_LINK = (
    "select l.session_id, l.conversation_id, c.owner_id, l.last_seq, l.ended"
    " from medbot.voice_links l join public.conversations c on c.id = l.conversation_id"
)


async def insert_conversation(
    tx: Tx, owner_id: UUID | None, conversation_id: UUID, *, guest: bool
) -> None:
    """Creates a conversation unless this very one exists already."""
    await tx.execute(
        "insert into public.conversations (id, owner_id, user_id) values ($1, $2, $3)"
        " on conflict (id) do nothing",
        conversation_id,
        owner_id,
        None if guest else owner_id,
    )


async def insert_link(tx: Tx, session_id: UUID, conversation_id: UUID) -> None:
    """A session speaks in a conversation from now on."""
    await tx.execute(
        "insert into medbot.voice_links (session_id, conversation_id) values ($1, $2)"
        " on conflict (session_id) do nothing",
        session_id,
        conversation_id,
    )


async def get_link(tx: Tx, session_id: UUID) -> Link | None:
    """Where a session stands."""
    row = await tx.fetchrow(f"{_LINK} where l.session_id = $1", session_id)
    return Link(**row) if row else None


async def open_links(tx: Tx, conversation_id: UUID) -> list[Link]:
    """The sessions of a conversation that may still have something to say."""
    rows = await tx.fetch(
        f"{_LINK} where l.conversation_id = $1 and not l.ended order by l.created_at",
        conversation_id,
    )
    return [Link(**row) for row in rows]


async def silent_links(tx: Tx) -> list[UUID]:
    """Sessions that began a while ago and of whose end nothing was heard."""
    rows = await tx.fetch(
        "select session_id from medbot.voice_links where not ended"
        " and created_at < clock_timestamp() - interval '1 minute' order by created_at limit 200"
    )
    return [row["session_id"] for row in rows]


async def end_link(tx: Tx, session_id: UUID) -> None:
    """Nothing more is expected of a session."""
    await tx.execute("update medbot.voice_links set ended = true where session_id = $1", session_id)


async def end_stale_link(tx: Tx, session_id: UUID) -> None:
    """Nothing is expected of a session that was announced and never made."""
    await tx.execute(
        "update medbot.voice_links set ended = true where session_id = $1"
        " and created_at < clock_timestamp() - interval '1 minute'",
        session_id,
    )


async def insert_turn(
    tx: Tx, link: Link, channel: Channel, turn: SpokenTurn, message_id: UUID, seq: int
) -> None:
    """Stores a turn as the message at `seq`, and tells the bus and the feed."""
    values: list[Any] = [
        message_id,
        link.conversation_id,
        link.owner_id,
        seq,
        turn.role,
        channel,
        turn.text,
        models.citations(turn),
        models.triage(turn),
        "interrupted" if turn.interrupted else "complete",
        models.latency(turn),
        list(turn.usage),
        link.session_id,
        turn.seq,
        turn.ended_at,
    ]
    await tx.execute(
        "insert into public.messages (id, conversation_id, owner_id, seq, role, channel, content,"
        "  citations, triage, status, latency, usage, voice_session_id, voice_seq, created_at)"
        " values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14,"
        "  least($15::timestamptz, clock_timestamp()))",
        *values,
    )
    await tx.execute(
        "update medbot.voice_links set last_seq = $2 where session_id = $1",
        link.session_id,
        turn.seq,
    )
    event = MessageCreated(conversation_id=link.conversation_id, message_id=message_id, seq=seq)
    await outbox.emit(tx, event, source=SOURCE)
    ref = {"conversation_id": link.conversation_id, "message_id": message_id}
    await feed.append(tx, link.owner_id, "message.created", ref)


async def newest(tx: Tx, conversation_id: UUID, limit: int) -> list[Earlier]:
    """The newest finished messages of both sides, oldest first."""
    rows = await tx.fetch(
        f"{_EARLIER} order by seq desc limit $2",
        conversation_id,
        limit,
    )
    return [Earlier.model_validate(dict(row)) for row in reversed(rows)]


async def beyond(
    tx: Tx, conversation_id: UUID, seq: int, limit: int, except_session: UUID | None
) -> list[Earlier]:
    """Finished messages beyond a place, oldest first, but for those that a session spoke."""
    rows = await tx.fetch(
        f"{_EARLIER} and seq > $2 and ($4::uuid is null or voice_session_id is distinct from $4)"
        " order by seq limit $3",
        conversation_id,
        seq,
        limit,
        except_session,
    )
    return [Earlier.model_validate(dict(row)) for row in rows]


_EARLIER = (
    "select id as message_id, seq, role, channel, content from public.messages"
    " where conversation_id = $1 and status in ('complete', 'interrupted')"
    " and role <> 'system' and content <> '' and replaced_by is null"
)


async def settled_seq(tx: Tx, conversation_id: UUID) -> int:
    """The place up to which no message can change any more: that before a running reply."""
    found: int = await tx.fetchval(
        "select coalesce((select min(seq) - 1 from public.messages where conversation_id = $1"
        "  and status = 'streaming'), (select max(seq) from public.messages"
        "  where conversation_id = $1), 0)",
        conversation_id,
    )
    return found
