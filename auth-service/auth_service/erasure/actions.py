"""How somebody is erased: at once here, everywhere else as soon as it can be, then the receipt."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from uuid import UUID, uuid4

from auth_service.erasure import receipts, store
from auth_service.lockout import store as lockout
from auth_service.providers import local
from auth_service.providers.directory import Directory
from auth_service.providers.signing import Signer
from auth_service.sessions import store as sessions
from contracts.events import HOLDERS, UserErased
from kit import outbox
from kit.database import Database, Tx
from kit.errors import InvalidToken
from kit.identity import Actor

TELL_AGAIN_AFTER = timedelta(minutes=10)
"""A service that was told and has not answered is told again: its event may lie dead somewhere."""

AT_ONCE = 100


async def request(
    tx: Tx, directory: Directory, caller: Actor, counters: Sequence[bytes], *, now: datetime
) -> tuple[UUID, list[UUID]]:
    """Erases what auth keeps, with `counters` of failed sign-ins, and tells the others.

    Answers the id of the erasure, the same one every time, and the sessions that this ended.

    Raises:
        InvalidToken: the caller's session has ended, and not by an erasure.
    """
    if caller.id is None:
        raise InvalidToken
    await store.lock_person(tx, caller.id)
    earlier = await store.find(tx, caller.id)
    if earlier is not None:
        return earlier, []
    if await store.has_ended(tx, caller.session_id):
        raise InvalidToken
    await directory.held(tx, caller.id)
    erasure_id = uuid4()
    await store.insert(tx, erasure_id, caller.id, (local.SERVICE, *HOLDERS), now=now)
    await store.forget_events(tx, [str(caller.id)])
    ended = await store.erase_own(tx, caller.id)
    await directory.blank(tx, caller.id)
    await lockout.delete(tx, counters)
    event = UserErased(user_id=caller.id, erasure_id=erasure_id)
    await outbox.emit(tx, event, source=local.SERVICE)
    await sessions.record(tx, ended, now=now)
    return erasure_id, ended


async def finish(
    db: Database, directory: Directory, erasure_id: UUID, signer: Signer, *, now: datetime
) -> bool:
    """Writes the receipt, once every service has reported and no guest of theirs is about.

    Whoever keeps the account elsewhere deletes it before: a receipt says only what is so. Where
    this is cut short in between, the next look does it all again.
    """
    async with db.transaction(local.ACTOR) as tx:
        person = await _ready(tx, erasure_id)
    if person is None:
        return False
    await directory.forget(person)
    async with db.transaction(local.ACTOR) as tx:
        return await _complete(tx, directory, erasure_id, signer, now=now)


async def _ready(tx: Tx, erasure_id: UUID) -> UUID | None:
    """Whose erasure this is, when nothing is missing but the receipt; nobody else ends it now."""
    person = await store.lock_ready(tx, erasure_id)
    if person is None or await store.awaits_guest(tx, person):
        return None
    return person


async def _complete(
    tx: Tx, directory: Directory, erasure_id: UUID, signer: Signer, *, now: datetime
) -> bool:
    person = await _ready(tx, erasure_id)
    if person is None:
        return False
    await store.forget_events(tx, [str(person)])
    await directory.delete(tx, person)
    erasure = await store.get(tx, erasure_id)
    assert erasure is not None, "the transaction holds its row"
    digest = await store.digest(tx, erasure_id)
    signed = signer.sign(
        receipts.claims(erasure, digest, issuer=local.ISSUER, now=now), kind=receipts.TYPE
    )
    await store.complete(tx, erasure_id, signed, now=now)
    return True


async def tell_again(tx: Tx, *, now: datetime) -> int:
    """Repeats the event of erasures that take too long; answers how many there are."""
    waiting = await store.overdue(tx, after=TELL_AGAIN_AFTER, now=now, limit=AT_ONCE)
    for erasure_id, person in waiting:
        event = UserErased(user_id=person, erasure_id=erasure_id)
        await outbox.emit(tx, event, source=local.SERVICE)
    return len(waiting)
