"""What an administrator does to an account; each is one transaction with its row in the log.

Each locks the account first, then the list of ended sessions, and last the audit log. Whoever
keeps the account elsewhere is told when that has committed.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime
from uuid import UUID

from auth_service.administration import letters, store
from auth_service.administration.models import NoSuchQueue, NotAnEvent, OwnAccount, Person
from auth_service.providers import store as accounts
from auth_service.providers.directory import POWERS, Directory
from auth_service.sessions import store as sessions
from contracts.events import SUBSCRIPTIONS
from kit.bus import Bus
from kit.errors import NotFound
from kit.identity import Role
from privacy.audit import Desk, Record


async def get(record: Record, person_id: UUID) -> Person:
    """Raises NotFound."""
    person = await store.get(record, person_id)
    if person is None:
        raise NotFound
    return person


async def set_roles(
    desk: Desk, directory: Directory, person_id: UUID, roles: Iterable[Role], *, now: datetime
) -> tuple[Person, Sequence[UUID]]:
    """Gives somebody exactly these roles; who loses a power is signed out.

    Raises:
        NotFound, NoServiceKey
    """
    wanted = frozenset(roles)
    directory.check()
    async with desk.transaction("people.roles") as record:
        record.about(person_id)
        for role in sorted(wanted):
            record.touched("role", role)
        await _held(record, directory, person_id)
        lost = await directory.replace_roles(record.tx, person_id, wanted, now=now) - wanted
        ended = await end(record, person_id, None, now=now) if lost & POWERS else []
        person = await get(record, person_id)
    await directory.tell(person_id)
    return person, ended


async def lock(
    desk: Desk, directory: Directory, person_id: UUID, *, now: datetime
) -> tuple[Person, Sequence[UUID]]:
    """Locks an account and ends its sessions.

    Raises:
        NotFound, OwnAccount, NoServiceKey
    """
    directory.check()
    async with desk.transaction("people.lock") as record:
        record.about(person_id)
        if desk.actor is not None and desk.actor.id == person_id:
            raise OwnAccount
        await _held(record, directory, person_id)
        await store.lock(record, person_id, now=now)
        await directory.set_locked(record.tx, person_id, locked=True, now=now)
        ended = await end(record, person_id, None, now=now)
        person = await get(record, person_id)
    await directory.tell(person_id)
    return person, ended


async def unlock(desk: Desk, directory: Directory, person_id: UUID, *, now: datetime) -> Person:
    """Raises NotFound, NoServiceKey."""
    directory.check()
    async with desk.transaction("people.unlock") as record:
        record.about(person_id)
        await _held(record, directory, person_id)
        await store.unlock(record, person_id)
        await directory.set_locked(record.tx, person_id, locked=False, now=now)
        person = await get(record, person_id)
    await directory.tell(person_id)
    return person


async def end_sessions(
    desk: Desk, directory: Directory, person_id: UUID, session_id: UUID | None, *, now: datetime
) -> Sequence[UUID]:
    """Ends one session of somebody or, without `session_id`, all of them.

    Raises:
        NotFound: there is no such account, or no such session that lives.
    """
    async with desk.transaction("people.end_sessions") as record:
        record.about(person_id)
        await _held(record, directory, person_id)
        ended = await end(record, person_id, session_id, now=now)
        if session_id is not None and not ended:
            raise NotFound
        return ended


async def end(
    record: Record, person_id: UUID, session_id: UUID | None, *, now: datetime
) -> list[UUID]:
    """Ends sessions and tells every verifier."""
    ended = await accounts.end_sessions(record.tx, person_id, session_id=session_id, now=now)
    for one in ended:
        record.touched("session", one)
    await sessions.record(record.tx, ended, now=now)
    return ended


async def replay(desk: Desk, bus: Bus, letter_id: int) -> None:
    """Hands a dead letter to its queue again.

    Raises:
        NotFound, NotAnEvent, NoSuchQueue
    """
    async with desk.transaction("events.replay") as record:
        record.touched("letter", letter_id)
        taken = await letters.take(record.tx, letter_id)
        if taken is None:
            if await letters.exists(record.tx, letter_id):
                raise NotAnEvent
            raise NotFound
        queue, envelope = taken
        if queue not in SUBSCRIPTIONS:
            raise NoSuchQueue
        record.touched("queue", queue)
        record.touched("event", envelope.id)
        await bus.replay(record.tx, queue, envelope)


async def _held(record: Record, directory: Directory, person_id: UUID) -> None:
    if not await directory.held(record.tx, person_id):
        raise NotFound
