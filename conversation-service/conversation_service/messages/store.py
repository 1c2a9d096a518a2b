"""SQL that reads `public.messages`. A running reply's text is the sum of its parts."""

from uuid import UUID

from assistant.turns import Turn
from conversation_service.conversations.models import ConversationId
from conversation_service.messages.models import Message, MessageId
from kit.database import Tx

SAID = (
    "case when m.status = 'streaming' then coalesce((select string_agg(p.text, '' order by p.seq)"
    " from medbot.reply_parts p where p.message_id = m.id), '') else m.content end"
)
CITED = (
    "case when m.status = 'streaming' then coalesce((select"
    " jsonb_agg(c.value order by p.seq, c.place) from medbot.reply_parts p,"
    " jsonb_array_elements(p.citations) with ordinality c(value, place)"
    " where p.message_id = m.id), '[]') else m.citations end"
)
COLUMNS = (
    f"m.id, m.role, m.channel, {SAID} as content, {CITED} as citations, m.triage, m.status,"
    " m.created_at, m.latency"
)


async def get(tx: Tx, message_id: MessageId) -> Message | None:
    """One message of the actor."""
    row = await tx.fetchrow(
        f"select {COLUMNS} from public.messages m where m.id = $1",  # noqa: S608 columns are ours
        message_id,
    )
    return Message(**row) if row else None


async def list_page(
    tx: Tx, conversation_id: ConversationId, place: int | None, limit: int, *, newest_first: bool
) -> list[tuple[int, Message]]:
    """Messages beyond `place` with their places, in the order asked for."""
    beyond, order = ("<", "desc") if newest_first else (">", "asc")
    rows = await tx.fetch(
        f"select m.seq, {COLUMNS} from public.messages m where m.conversation_id = $1"  # noqa: S608
        f" and ($2::bigint is null or m.seq {beyond} $2) order by m.seq {order} limit $3",
        conversation_id,
        place,
        limit,
    )
    return [(row["seq"], Message(**row)) for row in rows]


async def recent_turns(
    tx: Tx, conversation_id: ConversationId, *, turns: int, characters: int
) -> list[Turn]:
    """The last finished turns, oldest first, whole ones up to a number of characters."""
    rows = await tx.fetch(
        "select role, content from public.messages where conversation_id = $1"
        " and status in ('complete', 'interrupted') and role <> 'system' and content <> ''"
        " order by seq desc limit $2",
        conversation_id,
        turns,
    )
    kept: list[Turn] = []
    for row in rows:
        characters -= len(row["content"])
        if characters < 0:
            break
        kept.append(Turn(row["role"], row["content"]))
    return kept[::-1]


async def belongs(tx: Tx, conversation_id: UUID, message_id: UUID) -> bool:
    """Whether the actor's conversation holds the message."""
    found = await tx.fetchval(
        "select 1 from public.messages where id = $1 and conversation_id = $2",
        message_id,
        conversation_id,
    )
    return bool(found)
