"""What goes on after somebody was erased here: the other services' words, and reminders."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from uuid import UUID

from auth_service.erasure import actions, store
from auth_service.providers import local
from auth_service.providers.directory import Directory
from auth_service.providers.signing import Signer
from contracts.events import HOLDERS, Envelope
from kit import logs
from kit.backbone import Backbone
from kit.bus import first_time
from kit.database import CONNECTION_ERRORS, Clock, Database
from kit.errors import DomainError, ServiceUnavailable

QUEUE = "auth"
LOOK_EVERY = 30.0

_log = logs.get(__name__)
_SERVICES = {event.topic: name for name, event in HOLDERS.items()}


def tasks(
    backbone: Backbone, directory: Directory, signer: Signer, clock: Clock
) -> dict[str, Callable[[], Awaitable[None]]]:
    """Background tasks by name."""
    reported = asyncio.Event()

    async def consume() -> None:
        async def take(envelope: Envelope) -> None:
            if await handle(backbone.db, envelope, clock):
                reported.set()

        await backbone.bus.consume(QUEUE, take)

    async def remind() -> None:
        while True:
            reported.clear()
            await look(backbone.db, directory, signer, clock)
            with suppress(TimeoutError):
                await asyncio.wait_for(reported.wait(), LOOK_EVERY)

    return {"erasures": consume, "overdue_erasures": remind}


async def handle(db: Database, envelope: Envelope, clock: Clock) -> bool:
    """The effect of an event, once; whether an erasure may be complete by it.

    A bus may hold a transaction meanwhile, so what goes out to another system is for `look`.
    """
    service = _SERVICES.get(envelope.type)
    if service is None:
        return False
    done = HOLDERS[service].model_validate(envelope.data)
    async with db.transaction(local.ACTOR) as tx:
        if await first_time(tx, QUEUE, envelope):
            await store.mark(tx, done.model_dump()["erasure_id"], service, now=clock())
    return True


async def look(db: Database, directory: Directory, signer: Signer, clock: Clock) -> int:
    """Ends erasures that nothing holds up any more, and reminds services of those that take too
    long; answers how many it reminded of."""
    try:
        async with db.transaction(local.ACTOR) as tx:
            waiting = await store.ready(tx, limit=actions.AT_ONCE)
        for erasure_id in waiting:
            await _finish(db, directory, erasure_id, signer, clock)
        async with db.transaction(local.ACTOR) as tx:
            count = await actions.tell_again(tx, now=clock())
    except (*CONNECTION_ERRORS, ServiceUnavailable) as error:
        _log.warning("erasures.look_waiting", **logs.failure(error))
        return 0
    if count:
        _log.warning("erasures.overdue", count=count)
    return count


async def _finish(
    db: Database, directory: Directory, erasure_id: UUID, signer: Signer, clock: Clock
) -> None:
    """One that cannot be ended now holds up no other."""
    try:
        await actions.finish(db, directory, erasure_id, signer, now=clock())
    except DomainError as failed:
        _log.warning("erasures.finish_waiting", code=failed.code)
