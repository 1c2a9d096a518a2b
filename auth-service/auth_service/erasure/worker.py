"""What goes on after somebody was erased here: the other services' words, and reminders."""

from collections.abc import Awaitable, Callable

from auth_service.erasure import actions, store
from auth_service.providers import local
from auth_service.providers.directory import Directory
from auth_service.providers.signing import Signer
from contracts.events import HOLDERS, Envelope
from kit import background, logs
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

    async def consume() -> None:
        async def take(envelope: Envelope) -> None:
            await handle(backbone.db, directory, envelope, signer, clock)

        await backbone.bus.consume(QUEUE, take)

    async def remind() -> None:
        await background.every(LOOK_EVERY, lambda: look(backbone.db, directory, signer, clock))

    return {"erasures": consume, "overdue_erasures": remind}


async def handle(
    db: Database, directory: Directory, envelope: Envelope, signer: Signer, clock: Clock
) -> None:
    """The effect of an event, once."""
    service = _SERVICES.get(envelope.type)
    if service is None:
        return
    done = HOLDERS[service].model_validate(envelope.data)
    async with db.transaction(local.ACTOR) as tx:
        if not await first_time(tx, QUEUE, envelope):
            return
        erasure_id = done.model_dump()["erasure_id"]
        await store.mark(tx, erasure_id, service, now=clock())
    try:
        async with db.transaction(local.ACTOR) as tx:
            await actions.finish(tx, directory, erasure_id, signer, now=clock())
    except DomainError as failed:  # whoever looks next finds it ready still
        _log.warning("erasures.finish_waiting", code=failed.code)


async def look(db: Database, directory: Directory, signer: Signer, clock: Clock) -> int:
    """Ends erasures that nothing holds up any more, and reminds services of those that take too
    long; answers how many it reminded of."""
    try:
        async with db.transaction(local.ACTOR) as tx:
            waiting = await store.ready(tx, limit=actions.AT_ONCE)
        for erasure_id in waiting:
            async with db.transaction(local.ACTOR) as tx:
                await actions.finish(tx, directory, erasure_id, signer, now=clock())
        async with db.transaction(local.ACTOR) as tx:
            count = await actions.tell_again(tx, now=clock())
    except (*CONNECTION_ERRORS, ServiceUnavailable) as error:
        _log.warning("erasures.look_waiting", **logs.failure(error))
        return 0
    if count:
        _log.warning("erasures.overdue", count=count)
    return count
