"""Events of the voice service: turns become messages, sessions show in the feed."""

from contracts.events import (
    Envelope,
    VoiceSessionEnded,
    VoiceSessionStarted,
    VoiceTurnRecorded,
)
from conversation_service.feed import store as feed
from conversation_service.voice import actions, store
from conversation_service.voice.actions import ITSELF
from conversation_service.voice.client import VoiceSessions
from kit.bus import first_time
from kit.database import Database

QUEUE = "conversation"

TOPICS = frozenset(
    event.topic for event in (VoiceTurnRecorded, VoiceSessionStarted, VoiceSessionEnded)
)


async def handle(db: Database, voice: VoiceSessions, envelope: Envelope) -> None:
    """The effect of an event; turns are counted by their session, so again is no harm."""
    if envelope.type == VoiceTurnRecorded.topic:
        turn = VoiceTurnRecorded.model_validate(envelope.data)
        await actions.take_turns(db, voice, turn.session_id)
        return
    started = envelope.type == VoiceSessionStarted.topic
    event = (VoiceSessionStarted if started else VoiceSessionEnded).model_validate(envelope.data)
    if not started:
        await actions.take_turns(db, voice, event.session_id)
    async with db.transaction(ITSELF) as tx:
        if not await first_time(tx, QUEUE, envelope):
            return
        link = await store.get_link(tx, event.session_id)
        if link is None:
            return
        name = "voice.session.started" if started else "voice.session.ended"
        ref = {"session_id": event.session_id, "conversation_id": link.conversation_id}
        await feed.append(tx, link.owner_id, name, ref)
