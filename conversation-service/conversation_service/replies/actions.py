"""How a reply begins: the gate, then both messages, the key and the events in one transaction."""

import time
import uuid
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import anyio.to_thread
import asyncpg

from assistant import safety
from assistant.safety import Assessment
from assistant.turns import Turn
from conversation_service.conversations.models import ConversationId
from conversation_service.messages import store as messages
from conversation_service.replies import store
from conversation_service.replies.models import Begun, Busy
from kit import idempotency
from kit.database import Database
from kit.errors import NotFound
from kit.identity import Actor

TURNS = 20
CHARACTERS = 12_000
"""What a model is told of earlier: at most so many turns and characters."""

READ_AT_ONCE = 1_500
"""Characters that the gate reads in the event loop; longer texts are read in a thread."""


async def begin(
    db: Database,
    actor: Actor,
    conversation_id: ConversationId,
    content: str,
    *,
    key: str | None,
    locale: str,
    lease: float,
) -> Begun | uuid.UUID:
    """Stores a message and the empty reply to it.

    Answers what the runner needs, or the id of the reply that this key began before.

    Raises:
        NotFound: the actor has no such conversation.
        Busy: a reply runs there.
        idempotency.Mismatch: the key began something else.
    """
    started = time.perf_counter()
    made = {"user_message_id": uuid.uuid4(), "assistant_message_id": uuid.uuid4()}
    call = f"messages.send {conversation_id}"
    async with db.transaction(actor) as tx:
        history = await messages.recent_turns(
            tx, conversation_id, turns=TURNS, characters=CHARACTERS
        )
    assessed = time.perf_counter()
    assessment = await _assess(content, history, locale)
    gate_ms = (time.perf_counter() - assessed) * 1000
    async with db.transaction(actor) as tx:
        ids = {name: str(value) for name, value in made.items()}
        earlier = await idempotency.claim(tx, actor, key, call, content, ids)
        if earlier is not None:
            return uuid.UUID(earlier["assistant_message_id"])
        place = await store.take_places(tx, conversation_id, 2)
        if place is None:
            raise NotFound
        await store.fail_expired(tx, conversation_id)
        question, reply = made["user_message_id"], made["assistant_message_id"]
        await store.insert_question(
            tx, actor, conversation_id, question, place, content, triage(assessment)
        )
        try:
            await store.insert_reply(tx, actor, conversation_id, reply, place + 1, question, lease)
        except asyncpg.UniqueViolationError:
            raise Busy from None
    return Begun(
        actor, conversation_id, reply, content, history, assessment.level, started, gate_ms
    )


async def _assess(content: str, history: Sequence[Turn], locale: str) -> Assessment:
    """The gate's verdict; long texts are read in a thread, so that nobody else waits."""
    if len(content) <= READ_AT_ONCE:
        return safety.assess(content, history, locale)
    return await anyio.to_thread.run_sync(safety.assess, content, history, locale)


def triage(assessment: Assessment) -> dict[str, Any]:
    """A verdict as it is stored and sent."""
    return asdict(assessment)
