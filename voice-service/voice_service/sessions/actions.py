"""Decisions about sessions: who may have one more, where it speaks, when it is over."""

import uuid
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

from contracts.events import VoiceSessionEnded, VoiceSessionStarted, VoiceTurnRecorded
from contracts.voice import (
    AskHistory,
    Channel,
    EndReason,
    Heartbeat,
    Pipeline,
    Plan,
    VoiceSettings,
)
from kit import idempotency, outbox
from kit.database import Database, Tx
from kit.errors import NotFound
from kit.identity import Actor
from voice_service.conversations import Conversations
from voice_service.sessions import counting, store
from voice_service.sessions.models import (
    HERE,
    CapReached,
    ChangeConfig,
    CreateSession,
    Row,
    SessionOver,
    SessionTaken,
    TooManySessions,
    Unavailable,
    WantedVoice,
)
from voice_service.sessions.pipelines import Pipelines, settle
from voice_service.turns import store as turns
from voice_service.usage.budget import Budget
from voice_service.usage.store import Cap

SOURCE = "voice-service"
ITSELF = Actor.of_service("voice")
CALL = "voice.session"
UNVISITED_AFTER = timedelta(minutes=1)
"""A session to which nobody came for so long gives its place to another of the same person."""

SILENT_AFTER = 5.0
"""Seconds without a sign of life or a word after which nobody is waited for to end a turn, where
its conversation goes on elsewhere. One that is well gives a sign every 3 s."""

HISTORY = 40
"""Messages of before that a session is told."""

_KEYED = uuid.UUID("6f0d4a54-5a0b-4be4-8a51-3c8a4f8f3f56")


@dataclass(frozen=True, slots=True)
class Rules:
    """What sessions must keep to."""

    pipelines: Pipelines
    per_person: int
    longest: timedelta
    join_within: timedelta
    media: bool


@dataclass(frozen=True, slots=True)
class Sessions:
    """What the actions work with."""

    db: Database
    conversations: Conversations
    rules: Rules
    budget: Budget


async def create(
    sessions: Sessions,
    owner: Actor,
    wanted: CreateSession,
    *,
    channel: Channel,
    key: str | None = None,
    alias: str | None = None,
    locale: str = HERE,
) -> Row:
    """Makes a session, and its conversation where none is named; `locale` picks the emergency
    numbers that it names.

    Raises:
        Unavailable: the pipeline or the avatar is not configured.
        CapReached: a cap on cost is, and there is no offline voice.
        TooManySessions: the person has as many as one may.
        NotFound: the conversation is not theirs.
        idempotency.Mismatch: the key made something else.
    """
    if wanted.avatar:
        raise Unavailable
    pipeline, limited = await _affordable(sessions, owner, wanted.pipeline)
    settled = settle(pipeline, wanted.instructions, wanted.voice_settings)
    session_id = uuid.uuid4()
    made, asked = {"session_id": str(session_id)}, wanted.model_dump(mode="json")
    async with sessions.db.transaction(owner) as tx:
        before = await idempotency.earlier(tx, owner, key, CALL, asked)
        if before is not None:
            return await _made(tx, before)
        await _make_room(tx, owner, sessions.rules)
    conversation_id = wanted.conversation_id or _conversation(owner, key)
    assert owner.id is not None
    await sessions.conversations.open(
        owner.id,
        conversation_id,
        session_id=session_id,
        channel=channel,
        guest=owner.kind == "guest",
        make=wanted.conversation_id is None,
    )
    values: dict[str, Any] = {
        "id": session_id,
        "conversation_id": conversation_id,
        "channel": channel,
        "pipeline": pipeline,
        "room_name": f"voice-{session_id}" if sessions.rules.media else None,
        "alias": alias,
        "room_open": sessions.rules.media,
        "instructions": wanted.instructions or None,
        "voice_settings": settled.settings.model_dump(exclude_none=True),
        "ignored": sorted(settled.ignored),
        "metadata": wanted.metadata,
        "limited": limited,
        "locale": locale,
    }
    if wanted.conversation_id is not None:
        await go_on_elsewhere(sessions.db, wanted.conversation_id)
    async with sessions.db.transaction(owner) as tx:
        await store.lock_owner(tx, owner)
        claimed = await idempotency.claim(tx, owner, key, CALL, asked, made)
        if claimed is not None:
            return await _made(tx, claimed)
        await _make_room(tx, owner, sessions.rules)
        return await store.insert(tx, owner, values, sessions.rules.join_within)


async def _affordable(
    sessions: Sessions, owner: Actor, wanted: Pipeline | None
) -> tuple[Pipeline, Cap | None]:
    """The pipeline of a session; offline voice where a cap, which is named, leaves no room."""
    pipelines = sessions.rules.pipelines
    chosen = pipelines.choose(wanted)
    assert owner.id is not None
    async with sessions.db.transaction(ITSELF) as tx:
        reached = await sessions.budget.reached(tx, owner.id, chosen, guest=owner.kind == "guest")
    if reached is None:
        return chosen, None
    if "offline" not in pipelines.available:
        raise CapReached
    return "offline", reached


def _conversation(owner: Actor, key: str | None) -> UUID:
    """A new conversation's id; the same for the same key, so that a retry makes no second one."""
    return uuid.uuid4() if key is None else uuid.uuid5(_KEYED, f"{owner.id}:{key}")


async def _made(tx: Tx, made: dict[str, str]) -> Row:
    found = await store.get(tx, UUID(made["session_id"]))
    if found is None:
        raise NotFound
    return found


async def _make_room(tx: Tx, owner: Actor, rules: Rules) -> None:
    """Ends a session to which nobody will come, where the cap is reached and there is one: a page
    that is opened again and again leaves such behind."""
    if await store.count_running(tx, owner) >= rules.per_person:
        for session_id in await store.unvisited(tx, owner, UNVISITED_AFTER):
            await end(tx, session_id, "caller_left")
    if await store.count_running(tx, owner) >= rules.per_person:
        raise TooManySessions


async def require(tx: Tx, session_id: UUID, *, lock: bool = False) -> Row:
    """A session of the actor.

    Raises:
        NotFound: the actor has no such session.
    """
    found = await store.get(tx, session_id, lock=lock)
    if found is None:
        raise NotFound
    return found


async def configure(db: Database, owner: Actor, session_id: UUID, change: ChangeConfig) -> Row:
    """Changes instructions or voice; a running agent hears of it."""
    async with db.transaction(owner) as tx:
        row = await require(tx, session_id, lock=True)
        if row.over:
            raise SessionOver
        wanted = change.voice_settings or WantedVoice()
        begun = row.voice_settings if row.status != "created" else None
        settled = settle(row.pipeline, change.instructions, wanted, begun=begun)
        return await store.configure(
            tx,
            session_id,
            instructions=change.instructions,
            voice_settings={
                **row.voice_settings,
                **settled.settings.model_dump(exclude_none=True),
            },
            ignored=sorted({*row.ignored} - settled.named | settled.ignored),
        )


async def end(tx: Tx, session_id: UUID, reason: EndReason, *, deserted: bool = False) -> bool:
    """Ends a session and says so; False when it had ended before.

    Where it is `deserted` by whoever ran it, or nobody hears it, its open turns end with it; else
    whoever runs it knows best how they end.
    """
    row = await store.end(tx, session_id, reason)
    if row is None:
        return False
    counting.ended(reason, row.holder)
    if deserted:
        await close_turns(tx, row.id, row.conversation_id)
    event = VoiceSessionEnded(
        session_id=row.id, conversation_id=row.conversation_id, owner_id=row.owner_id
    )
    await outbox.emit(tx, event, source=SOURCE)
    return True


async def close_turns(tx: Tx, session_id: UUID, conversation_id: UUID) -> None:
    """What was heard of a session's open turns is all that there is of them."""
    closed = await turns.close_open(tx, session_id)
    if closed is not None:
        event = VoiceTurnRecorded(
            session_id=session_id, conversation_id=conversation_id, seq=closed
        )
        await outbox.emit(tx, event, source=SOURCE)


async def go_on_elsewhere(db: Database, conversation_id: UUID) -> None:
    """Ends the sessions of a conversation that were begun and have nobody in them now: it goes on
    elsewhere, and what was heard in them is part of it. So is what was heard of a turn whose
    speaker seems to be dead; whether its session is lost is not decided here."""
    async with db.transaction(ITSELF) as tx:
        for session_id in await store.deserted(tx, conversation_id):
            await end(tx, session_id, "caller_left", deserted=True)
        for session_id in await turns.silent(tx, conversation_id, SILENT_AFTER):
            await close_turns(tx, session_id, conversation_id)


async def end_own(db: Database, owner: Actor, session_id: UUID) -> Row:
    """Ends a session because its owner asks for it; one that has ended stays as it is."""
    async with db.transaction(owner) as tx:
        row = await require(tx, session_id, lock=True)
        await end(tx, session_id, "asked")
        return row


async def beat(db: Database, session_id: UUID, heard: Heartbeat, *, longest: timedelta) -> None:
    """Keeps a sign of life; the first one with the assistant ready starts the session.

    Raises:
        NotFound: there is no such session.
        SessionOver: it has ended; whoever runs it should stop.
        SessionTaken: another job runs it.
    """
    async with db.transaction(ITSELF) as tx:
        before = await require(tx, session_id, lock=True)
        if before.over:
            if heard.ended is not None:
                return
            raise SessionOver
        row = await store.beat(tx, session_id, heard, longest)
        if row is None:
            raise SessionTaken
        if before.started_at is None and row.started_at is not None:
            event = VoiceSessionStarted(
                session_id=row.id, conversation_id=row.conversation_id, owner_id=row.owner_id
            )
            await outbox.emit(tx, event, source=SOURCE)
        if heard.ended is not None:
            await end(tx, session_id, heard.ended)


async def plan(sessions: Sessions, session_id: UUID) -> Plan:
    """All that whoever runs a session needs to begin, or to go on with it.

    Raises:
        NotFound, SessionOver
        ServiceUnavailable: the conversation cannot be read now.
    """
    async with sessions.db.transaction(ITSELF) as tx:
        row = await require(tx, session_id)
        if row.over:
            raise SessionOver
        await close_turns(tx, session_id, row.conversation_id)
        ends_at = await store.begin(tx, session_id, sessions.rules.longest)
        greeted = await store.greeted(tx, row.conversation_id)
        beside = await store.of_conversation(tx, row.conversation_id)
    history = await sessions.conversations.history(
        row.owner_id,
        row.conversation_id,
        AskHistory(sessions=tuple(beside), messages=HISTORY),
    )
    return Plan(
        session_id=row.id,
        conversation_id=row.conversation_id,
        owner_id=row.owner_id,
        channel=row.channel,
        pipeline=row.pipeline,
        instructions=row.instructions,
        voice_settings=VoiceSettings.model_validate(row.voice_settings),
        locale=row.locale,
        history=history.messages,
        summary=history.summary,
        cursor=f"{row.config_version}.{row.message_version}.{history.last_seq}",
        greeted=greeted,
        limited=row.limited is not None,
        next_seq=row.last_seq + 1,
        ends_at=ends_at,
    )
