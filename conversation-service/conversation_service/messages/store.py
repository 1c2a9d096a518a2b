"""SQL that reads `public.messages`. A running reply's text is the sum of its parts."""

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
    " m.created_at, m.latency, m.replaces, m.replaced_by,"
    " m.limited"
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
