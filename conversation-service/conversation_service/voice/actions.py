"""How turns become messages: fetched after the last stored one, so none is missed or doubled."""

import asyncio
import uuid
from uuid import UUID

from contracts.voice import AskHistory, History, OpenConversation, RecordedTurns
from conversation_service.conversations import store as conversations
from conversation_service.conversations.models import ConversationId
from conversation_service.replies import memory
from conversation_service.replies import store as replies
from conversation_service.upkeep import store as upkeep
from conversation_service.voice import store
from conversation_service.voice.client import VoiceSessions
from kit import logs
from kit.database import CONNECTION_ERRORS, Database
from kit.errors import NotFound, ServiceUnavailable
from kit.identity import Actor

ITSELF = Actor.of_service("conversation")

CATCH_UP_WITHIN = 1.0
"""Seconds for which a written message waits for what was said before it."""

_log = logs.get(__name__)


async def open_conversation(
    db: Database, person: Actor, conversation_id: ConversationId, wanted: OpenConversation
) -> None:
    """Makes a conversation of the person unless it exists, and expects turns of the session.

    Raises:
        NotFound: it is not the person's, or must exist and does not.
    """
    async with db.transaction(person) as tx:
        if wanted.make:
            await store.insert_conversation(tx, person.id, conversation_id, guest=wanted.guest)
        if await conversations.get(tx, conversation_id) is None:
            raise NotFound
        await store.insert_link(tx, wanted.session_id, conversation_id)


async def take_turns(
    db: Database, voice: VoiceSessions, session_id: UUID, *, elsewhere: bool = False
) -> int:
    """Fetches what a session said since the last stored turn and stores it; how many messages.
    One that is over and has told all is expected to say no more.

    Raises:
        ServiceUnavailable: the voice service cannot be asked now.
    """
    stored = 0
    while True:
        async with db.transaction(ITSELF) as tx:
            link = await store.get_link(tx, session_id)
        if link is None:
            return stored  # its conversation was deleted
        page = await voice.turns(session_id, link.last_seq, elsewhere=elsewhere)
        if page is None:
            async with db.transaction(ITSELF) as tx:
                await store.end_stale_link(tx, session_id)
            return stored
        stored += await _store(db, session_id, page)
        if not page.more:
            if page.ended:
                async with db.transaction(ITSELF) as tx:
                    await store.end_link(tx, session_id)
            return stored


async def _store(db: Database, session_id: UUID, page: RecordedTurns) -> int:
    """Stores the turns of a page that are not stored yet, in order."""
    if not page.turns:
        return 0
    async with db.transaction(ITSELF) as tx:
        await replies.lock(tx, page.conversation_id)  # before its link, as whoever deletes does
        link = await store.get_link(tx, session_id)
        if link is None:
            return 0
        fresh = [turn for turn in page.turns if turn.seq > link.last_seq]
        if not fresh:
            return 0
        place = await replies.take_places(tx, link.conversation_id, len(fresh))
        if place is None:
            return 0
        for number, turn in enumerate(fresh):
            await store.insert_turn(tx, link, page.channel, turn, uuid.uuid4(), place + number)
        await upkeep.ask(tx, link.conversation_id)
        return len(fresh)


async def sweep(db: Database, voice: VoiceSessions) -> None:
    """Takes what sessions said whose events were lost, and expects no more of those that ended."""
    try:
        async with db.transaction(ITSELF) as tx:
            waiting = await store.silent_links(tx)
        for session_id in waiting:
            await take_turns(db, voice, session_id)
    except (*CONNECTION_ERRORS, ServiceUnavailable) as error:
        _log.warning("voice.sweep_waiting", **logs.failure(error))


async def catch_up(
    db: Database, voice: VoiceSessions, person: Actor, conversation_id: UUID
) -> None:
    """Stores what the running sessions of a person's conversation have said by now.

    Where the voice service does not answer, its events will bring it.
    """
    async with db.transaction(person) as tx:
        links = await store.open_links(tx, conversation_id)
    try:
        async with asyncio.timeout(CATCH_UP_WITHIN):
            for link in links:
                await take_turns(db, voice, link.session_id, elsewhere=True)
    except (ServiceUnavailable, TimeoutError) as error:
        _log.warning("voice.catch_up_waiting", **logs.failure(error))


async def history(
    db: Database,
    voice: VoiceSessions,
    person: Actor,
    conversation_id: ConversationId,
    asked: AskHistory,
) -> History:
    """What a session is told of its conversation.

    Raises:
        NotFound
        ServiceUnavailable: turns that must be in it cannot be fetched now.
    """
    for session_id in asked.sessions:
        await take_turns(db, voice, session_id)
    async with db.transaction(person) as tx:
        if await conversations.get(tx, conversation_id) is None:
            raise NotFound
        settled = await store.settled_seq(tx, conversation_id)
        summary = ""
        if asked.after is None:
            messages = await store.newest(tx, conversation_id, asked.messages)
            if messages and messages[0].seq > 1:
                summary = await memory.earlier(tx, conversation_id, messages[0].seq)
        else:
            messages = await store.beyond(
                tx, conversation_id, asked.after, asked.messages, asked.except_session
            )
            messages = [message for message in messages if message.seq <= settled]
            if messages and len(messages) == asked.messages:
                settled = messages[-1].seq
    return History(messages=tuple(messages), summary=summary or None, last_seq=settled)
