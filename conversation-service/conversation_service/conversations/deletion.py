"""Deleting a conversation so that nothing of it stays, in whichever table its id could stand.

What remains is one entry of the feed that says that this id was deleted, for the person's other
screens, and the event that tells other services to do the same; both are ids and both expire.
"""

from uuid import UUID

from contracts.events import ConversationDeleted
from conversation_service.feed import store as feed
from kit import outbox
from kit.database import Tx

SOURCE = "conversation-service"

_FORGET_EVENTS = outbox.forgetting("e.envelope ->> 'subject' = $1")


async def delete(tx: Tx, owner_id: UUID | None, conversation_id: UUID) -> bool:
    """Deletes it; whether that person had one. For the service's own actor.

    A running reply finds its row gone and ends without a trace.
    """
    held = await tx.fetchval(
        "select 1 from public.conversations where id = $1 and owner_id = $2 for update",
        conversation_id,
        owner_id,
    )
    if held is None:
        return False
    await _forget_keys(tx, owner_id, conversation_id)
    await tx.execute("delete from public.conversations where id = $1", conversation_id)
    await _forget_news(tx, owner_id, conversation_id)
    event = ConversationDeleted(conversation_id=conversation_id, owner_id=owner_id)
    await outbox.emit(tx, event, source=SOURCE)
    await feed.append(tx, owner_id, "conversation.deleted", {"conversation_id": conversation_id})
    return True


async def _forget_keys(tx: Tx, owner_id: UUID | None, conversation_id: UUID) -> None:
    """Idempotency keys that made it or a message in it: used again they begin afresh."""
    await tx.execute(
        "delete from medbot.idempotency_keys k where k.owner_id = $1 and ("
        " k.made ->> 'conversation_id' = $2::uuid::text"
        " or k.made ->> 'assistant_message_id' in"
        "  (select m.id::text from public.messages m where m.conversation_id = $2::uuid))",
        owner_id,
        conversation_id,
    )


async def _forget_news(tx: Tx, owner_id: UUID | None, conversation_id: UUID) -> None:
    """What was still to be told of it: live updates, and events that are on their way."""
    await tx.execute(
        "delete from medbot.feed where owner_id = $1 and ref ->> 'conversation_id' = $2",
        owner_id,
        str(conversation_id),
    )
    for statement in _FORGET_EVENTS:
        await tx.execute(statement, str(conversation_id))
