"""A guest becomes somebody: what they did as a guest is theirs."""

from datetime import datetime

from auth_service.guests import store
from auth_service.guests.models import GuestJoined, NotAGuest
from auth_service.sessions import store as sessions
from contracts import events
from kit import outbox
from kit.database import Database
from kit.errors import InvalidToken
from kit.identity import Actor
from kit.tokens import Verifier

SOURCE = "auth"


async def join(
    db: Database, itself: Actor, verifier: Verifier, person: Actor, token: str, *, now: datetime
) -> None:
    """Makes the guest with this access token the person; the guest's session ends.

    Doing it again as the same person changes nothing.

    Raises:
        NotAGuest: the token is no guest's, or does not hold any more.
        GuestJoined: the guest is somebody else already.
        InvalidToken: the person's account is gone.
    """
    guest = await _guest(verifier, token)
    if person.id is None or guest.id is None or guest.session_id is None:
        raise InvalidToken
    async with db.transaction(itself) as tx:
        owner = await store.join(tx, guest.id, person.id, now=now)
        if owner is None:
            raise InvalidToken
        if owner != person.id:
            raise GuestJoined
        joined = events.GuestJoined(guest_id=guest.id, user_id=person.id)
        await outbox.emit(tx, joined, source=SOURCE)
        await sessions.record(tx, [guest.session_id], now=now)
    verifier.ended([guest.session_id])


async def _guest(verifier: Verifier, token: str) -> Actor:
    try:
        actor = await verifier.verify(token)
    except InvalidToken:
        raise NotAGuest from None
    if actor.kind != "guest":
        raise NotAGuest
    return actor
