"""What this service forgets by itself: failures, links, mails, guests, sign-ins, lost powers."""

from auth_service.guests import store as guests
from auth_service.lockout.gate import Gate
from auth_service.mails.sending import Sender
from auth_service.providers import local, supabase_changes
from auth_service.sessions import store
from kit import background, logs
from kit.database import CONNECTION_ERRORS, Clock, Database
from kit.errors import ServiceUnavailable

EVERY = 3600.0
BATCH = 1000

_log = logs.get(__name__)


async def run(db: Database, clock: Clock, gate: Gate, sender: Sender) -> None:
    """Forgets every hour until cancelled."""
    await background.every(EVERY, lambda: once(db, clock, gate, sender))


async def once(db: Database, clock: Clock, gate: Gate, sender: Sender) -> None:
    """Forgets what is old now; a database that is away is asked the next time."""
    try:
        await gate.forget_old()
        await sender.forget_old()
        async with db.transaction(local.ACTOR) as tx:
            await guests.forget_old(tx, now=clock())
            await supabase_changes.forget_old(tx, now=clock())
        await _forget_sessions(db, clock)
    except (*CONNECTION_ERRORS, ServiceUnavailable) as error:
        _log.warning("forgetting.waits", **logs.failure(error))


async def _forget_sessions(db: Database, clock: Clock) -> None:
    """Sign-ins that nobody can go on with; that of a person who stays away too."""
    gone = BATCH
    while gone == BATCH:
        async with db.transaction(local.ACTOR) as tx:
            before = clock() - local.REFRESH_LIFE
            gone = await store.forget(tx, "used_at < $1", before, BATCH)
