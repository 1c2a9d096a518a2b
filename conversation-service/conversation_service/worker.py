"""What the service does unasked: consume events, end orphaned replies, forget what is old."""

from collections.abc import Awaitable, Callable
from datetime import timedelta

from assistant.reply import Assistant
from contracts.events import Envelope, GuestJoined, UserErased, UserRegistered
from conversation_service.feed import store as feed
from conversation_service.guests import joining, retention
from conversation_service.privacy.people import ERASE
from conversation_service.replies import store as replies
from conversation_service.upkeep import actions as upkeep
from conversation_service.usage.budget import Budget
from conversation_service.voice import actions as spoken_turns
from conversation_service.voice import consumers as spoken
from conversation_service.voice.client import VoiceSessions
from kit import background, bus, idempotency, logs
from kit.backbone import Backbone
from kit.bus import first_time
from kit.database import CONNECTION_ERRORS, Database
from kit.errors import ServiceUnavailable
from kit.identity import Actor
from privacy import people

QUEUE = "conversation"
ITSELF = Actor.of_service("conversation")
FORGET_EVERY = 3600.0
CATCH_UP_EVERY = 60.0

_log = logs.get(__name__)


def tasks(
    backbone: Backbone,
    assistant: Assistant,
    budget: Budget,
    voice: VoiceSessions,
    *,
    lease: float,
    guests_kept: timedelta,
) -> dict[str, Callable[[], Awaitable[None]]]:
    """Background tasks by name; `guests_kept` is how long a guest's conversations wait for them."""

    async def handle_any(envelope: Envelope) -> None:
        if envelope.type in spoken.TOPICS:
            await spoken.handle(backbone.db, voice, envelope)
        else:
            await handle(backbone.db, envelope)

    async def consume() -> None:
        await backbone.bus.consume(QUEUE, handle_any)

    async def sweep() -> None:
        await background.every(lease / 5, lambda: end_orphans(backbone.db))

    async def forget() -> None:
        await background.every(FORGET_EVERY, lambda: forget_old(backbone.db, guests_kept))

    async def catch_up() -> None:
        await background.every(CATCH_UP_EVERY, lambda: spoken_turns.sweep(backbone.db, voice))

    async def look_after() -> None:
        await upkeep.run(backbone.db, backbone.signals, assistant, budget)

    return {
        "consume": consume,
        "sweep": sweep,
        "forget": forget,
        "upkeep": look_after,
        "catch_up": catch_up,
    }


async def handle(db: Database, envelope: Envelope) -> None:
    """The effect of an event, once."""
    if envelope.type == UserErased.topic:
        await people.erase(db, QUEUE, envelope, ERASE)
        return
    async with db.transaction(ITSELF) as tx:
        if not await first_time(tx, QUEUE, envelope):
            return
        if envelope.type == GuestJoined.topic:
            joined = GuestJoined.model_validate(envelope.data)
            await joining.join(tx, joined.guest_id, joined.user_id)
        if envelope.type == UserRegistered.topic:
            user_id = UserRegistered.model_validate(envelope.data).user_id
            await feed.append(tx, user_id, "account.registered", {"user_id": user_id})


async def end_orphans(db: Database) -> int:
    """Marks replies whose lease ended `failed`, with what they had said; answers how many."""
    ended = 0
    try:
        async with db.transaction(ITSELF) as tx:
            waiting = await replies.with_expired(tx)
        for conversation_id in waiting:
            async with db.transaction(ITSELF) as tx:
                await replies.lock(tx, conversation_id)
                ended += await replies.fail_expired(tx, conversation_id)
    except (*CONNECTION_ERRORS, ServiceUnavailable) as error:
        _log.warning("replies.sweep_waiting", **logs.failure(error))
    if ended:
        _log.warning("replies.orphaned", count=ended)
    return ended


async def forget_old(db: Database, guests_kept: timedelta) -> None:
    """Deletes idempotency keys, inbox rows and guests' conversations that are past their time."""
    try:
        async with db.transaction(ITSELF) as tx:
            await idempotency.forget_old(tx)
            await bus.forget_old(tx)
        await retention.forget_orphans(db, guests_kept)
    except (*CONNECTION_ERRORS, ServiceUnavailable) as error:
        _log.warning("forget.waiting", **logs.failure(error))
