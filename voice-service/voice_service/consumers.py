"""Events from elsewhere that sessions must know of."""

from contracts.events import Envelope, MessageCreated, UserErased
from kit import people
from kit.bus import first_time
from kit.database import Database, Tx
from voice_service.people import ERASE
from voice_service.sessions import store
from voice_service.sessions.actions import ITSELF

QUEUE = "voice"


async def handle(db: Database, envelope: Envelope) -> None:
    """The effect of an event, once."""
    if envelope.type == UserErased.topic:
        await people.erase(db, QUEUE, envelope, ERASE)
        return
    effect = _EFFECTS.get(envelope.type)
    if effect is None:
        return
    async with db.transaction(ITSELF) as tx:
        if await first_time(tx, QUEUE, envelope):
            await effect(tx, envelope)


async def _message_created(tx: Tx, envelope: Envelope) -> None:
    """Those who speak in the conversation look for what was written."""
    event = MessageCreated.model_validate(envelope.data)
    await store.message_written(tx, event.conversation_id)


_EFFECTS = {MessageCreated.topic: _message_created}
