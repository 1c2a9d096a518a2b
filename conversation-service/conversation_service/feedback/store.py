"""SQL on `public.message_feedback`."""

from uuid import UUID

from conversation_service.feedback.models import GiveFeedback
from kit.database import Tx


async def rateable(tx: Tx, conversation_id: UUID, message_id: UUID) -> bool | None:
    """Whether the actor's message is a reply that has ended; None when there is no such message."""
    answer: bool | None = await tx.fetchval(
        "select role = 'assistant' and status <> 'streaming' from public.messages"
        " where id = $1 and conversation_id = $2",
        message_id,
        conversation_id,
    )
    return answer


async def put(tx: Tx, message_id: UUID, given: GiveFeedback) -> None:
    """Stores feedback on a message, in place of what its owner gave before."""
    await tx.execute(
        "insert into public.message_feedback (message_id, conversation_id, owner_id, rating,"
        "  comment) select id, conversation_id, owner_id, $2, $3 from public.messages"
        "  where id = $1"
        " on conflict (message_id) do update set rating = excluded.rating,"
        "  comment = excluded.comment, updated_at = clock_timestamp()",
        message_id,
        given.rating,
        given.comment,
    )
