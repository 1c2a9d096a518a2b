"""Events from elsewhere that sessions must know of."""

from collections.abc import Awaitable, Callable, Mapping
from uuid import UUID

import asyncpg

from contracts.events import (
    ConversationDeleted,
    Envelope,
    GuestJoined,
    MessageCreated,
    UserErased,
)
from kit.bus import first_time
from kit.database import Database, Tx
from privacy import people
from voice_service.people import ERASE
from voice_service.sessions import actions, store
from voice_service.sessions.actions import ITSELF

QUEUE = "voice"


async def handle(db: Database, envelope: Envelope) -> None:
    """The effect of an event, once."""
    if envelope.type == UserErased.topic:
        await people.erase(db, QUEUE, envelope, ERASE)
        return
    effect = EFFECTS.get(envelope.type)
    if effect is None:
        return
    async with db.transaction(ITSELF) as tx:
        if await first_time(tx, QUEUE, envelope):
            await effect(tx, envelope)


async def _message_created(tx: Tx, envelope: Envelope) -> None:
    """Those who speak in the conversation look for what was written."""
    event = MessageCreated.model_validate(envelope.data)
    await store.message_written(tx, event.conversation_id)


async def _conversation_deleted(tx: Tx, envelope: Envelope) -> None:
    """Its sessions end, and what was said and asked in them goes at once."""
    event = ConversationDeleted.model_validate(envelope.data)
    for session_id in await store.of_conversation(tx, event.conversation_id, running=True):
        await actions.end(tx, session_id, "conversation_deleted")
    await store.forget_conversation(tx, event.conversation_id)


async def _guest_joined(tx: Tx, envelope: Envelope) -> None:
    """A guest's sessions become the person's; where that account is gone, they go too."""
    event = GuestJoined.model_validate(envelope.data)
    try:
        if await _erased(tx, event.user_id):
            raise asyncpg.ForeignKeyViolationError
        async with tx.transaction():
            await store.change_owner(tx, event.guest_id, event.user_id)
    except asyncpg.ForeignKeyViolationError:
        await store.forget_owner(tx, event.guest_id)


async def _erased(tx: Tx, person: UUID) -> bool:
    await tx.execute("select pg_advisory_xact_lock_shared(medbot.person_lock($1))", person)
    return bool(await tx.fetchval("select medbot.is_erased($1)", person))


EFFECTS: Mapping[str, Callable[[Tx, Envelope], Awaitable[None]]] = {
    MessageCreated.topic: _message_created,
    ConversationDeleted.topic: _conversation_deleted,
    GuestJoined.topic: _guest_joined,
}
