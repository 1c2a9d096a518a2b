"""How a reply begins: the gate, then both messages, the key and the events in one transaction."""

import time
import uuid
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import anyio.to_thread
import asyncpg

from assistant import safety
from assistant.reply import ROUNDS
from assistant.safety import Assessment, Level
from assistant.turns import Turn
from conversation_service.conversations.models import ConversationId
from conversation_service.replies import memory, store
from conversation_service.replies.models import Begun, Busy, NotRegenerable
from conversation_service.usage import store as usage
from conversation_service.usage.budget import Budget, Room
from kit import idempotency
from kit.database import Database, Tx
from kit.errors import NotFound
from kit.identity import Actor
from telemetry import catalogue

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
    budget: Budget,
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
        known = await memory.recollect(tx, conversation_id)
    assessment, gate_ms = await _assess(content, known.turns, locale)
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
        room = await _set_aside(tx, budget, actor, reply, known, content)
    catalogue.TRIAGE.add(assessment.level, "chat")
    level = assessment.level
    return Begun(
        conversation_id, reply, content, known.turns, known.earlier, level, started, gate_ms, room
    )


async def regenerate(
    db: Database,
    actor: Actor,
    conversation_id: ConversationId,
    message_id: uuid.UUID,
    *,
    key: str | None,
    locale: str,
    lease: float,
    budget: Budget,
) -> Begun | uuid.UUID:
    """Stores an empty reply that replaces another one to the same question.

    The gate reads the question again; its verdict may rise by that and never falls.

    Raises:
        NotFound: the actor has no such message.
        NotRegenerable: it is no reply, or more was asked since.
        Busy: a reply runs there.
        idempotency.Mismatch: the key began something else.
    """
    started = time.perf_counter()
    made = uuid.uuid4()
    call = f"messages.regenerate {conversation_id} {message_id}"
    async with db.transaction(actor) as tx:
        asked = await store.asked(tx, conversation_id, message_id)
        if asked is None:
            raise NotFound
        known = await memory.recollect(tx, conversation_id, before=asked.seq)
    assessment, gate_ms = await _assess(asked.content, known.turns, locale)
    async with db.transaction(actor) as tx:
        ids = {"assistant_message_id": str(made)}
        earlier = await idempotency.claim(tx, actor, key, call, None, ids)
        if earlier is not None:
            return uuid.UUID(earlier["assistant_message_id"])
        place = await store.take_places(tx, conversation_id, 1)
        if place is None:
            raise NotFound
        await store.fail_expired(tx, conversation_id)
        level = await _again(tx, conversation_id, message_id, assessment)
        try:
            await store.insert_reply(
                tx, actor, conversation_id, made, place, asked.question_id, lease, message_id
            )
        except asyncpg.UniqueViolationError:
            raise Busy from None
        room = await _set_aside(tx, budget, actor, made, known, asked.content)
    question, turns = asked.content, known.turns
    return Begun(
        conversation_id, made, question, turns, known.earlier, level, started, gate_ms, room
    )


async def _set_aside(
    tx: Tx,
    budget: Budget,
    actor: Actor,
    message_id: uuid.UUID,
    known: memory.Memory,
    content: str,
) -> Room:
    """Room for the reply within the caps on cost; without any, the message says so."""
    characters = len(content) + len(known.earlier) + sum(len(turn.content) for turn in known.turns)
    room = await budget.set_aside(tx, actor, characters=characters, rounds=ROUNDS)
    if room.reached is not None:
        await usage.mark_limited(tx, message_id, room.reached)
    return room


async def _again(
    tx: Tx, conversation_id: uuid.UUID, message_id: uuid.UUID, assessment: Assessment
) -> Level:
    """Looks once more, now that nobody else writes there; the level that holds from now on."""
    asked = await store.asked(tx, conversation_id, message_id)
    if asked is None or not (asked.is_reply and asked.newest):
        raise NotRegenerable
    if asked.running:
        raise Busy
    before = Level(asked.triage["level"]) if asked.triage else Level.NONE
    if assessment.level.rank > before.rank:
        return before
    await store.set_triage(tx, asked.question_id, triage(assessment))
    return assessment.level


async def _assess(content: str, history: Sequence[Turn], locale: str) -> tuple[Assessment, float]:
    """The gate's verdict and the milliseconds that it took.

    Long texts are read in a thread, so that nobody else waits.
    """
    started = time.perf_counter()
    if len(content) <= READ_AT_ONCE:
        assessment = safety.assess(content, history, locale)
    else:
        assessment = await anyio.to_thread.run_sync(safety.assess, content, history, locale)
    return assessment, (time.perf_counter() - started) * 1000


def triage(assessment: Assessment) -> dict[str, Any]:
    """A verdict as it is stored and sent."""
    return asdict(assessment)
