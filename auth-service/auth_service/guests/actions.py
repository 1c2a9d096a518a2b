"""A guest comes from somewhere, and may become somebody: what they did as a guest is theirs."""

import hmac
from datetime import datetime
from uuid import UUID

from auth_service.guests import store
from auth_service.guests.models import GuestJoined, NotAGuest
from auth_service.sessions import store as sessions
from contracts import events
from kit import outbox
from kit.database import Database
from kit.errors import InvalidToken
from kit.identity import Actor
from tokens import Verifier

SOURCE = "auth"


def place(secret: str, address: str, *, now: datetime) -> UUID:
    """What all guests from an address are counted under on a day; it does not tell the address."""
    said = f"guest place\n{now:%Y-%m-%d}\n{address}"
    drawn = hmac.digest(secret.encode(), said.encode(), "sha256")
    return UUID(bytes=drawn[:16], version=4)


async def join(
    db: Database, itself: Actor, unended: Verifier, person: Actor, token: str, *, now: datetime
) -> UUID:
    """Makes the guest with this access token the person; answers the guest's session, which ends.

    Doing it again as the same person changes nothing: `unended` is a verifier for which tokens of
    ended sessions hold.

    Raises:
        NotAGuest: the token is no guest's, or has expired.
        GuestJoined: the guest is somebody else already.
        InvalidToken: the person's account is gone.
    """
    guest = await _guest(unended, token)
    if person.id is None or guest.id is None or guest.session_id is None:
        raise InvalidToken
    async with db.transaction(itself) as tx:
        if await store.join(tx, guest.id, person.id, now=now):
            joined = events.GuestJoined(guest_id=guest.id, user_id=person.id)
            await outbox.emit(tx, joined, source=SOURCE)
            await sessions.record(tx, [guest.session_id], now=now)
        elif (owner := await store.owner(tx, guest.id)) != person.id:
            raise InvalidToken if owner is None else GuestJoined
    return guest.session_id


async def _guest(verifier: Verifier, token: str) -> Actor:
    try:
        actor = await verifier.verify(token)
    except InvalidToken:
        raise NotAGuest from None
    if actor.kind != "guest":
        raise NotAGuest
    return actor
