"""How a caller comes into a room."""

from datetime import datetime, timedelta

import asyncpg

from kit.identity import Actor
from voice_service.rooms.media import Media
from voice_service.sessions import actions, store
from voice_service.sessions.actions import Rules, Sessions
from voice_service.sessions.models import CreateSession, Row, SessionOver

SHORTEST = timedelta(seconds=10)


def own_identity(row: Row) -> str:
    """What the owner of a session is called in its room."""
    return f"caller-{row.owner_id}"


def token(media: Media, row: Row, identity: str, rules: Rules, *, now: datetime) -> str:
    """A token for the session's room, until the session must have been joined."""
    assert row.room_name is not None
    left = row.expires_at - now if row.joined_at is None else rules.join_within
    return media.token(row.id, row.room_name, identity, max(left, SHORTEST))


async def session_of_room(sessions: Sessions, owner: Actor, name: str, locale: str) -> Row:
    """The owner's session with this room or, under any other name, the one that they call so,
    which is made if there is none. Names are their owner's: nobody comes to another's room by one.

    Raises:
        SessionOver: the session of that room has ended.
        actions' errors
    """
    async with sessions.db.transaction(owner) as tx:
        found = await store.by_room(tx, name) or await store.by_alias(tx, owner, name)
    if found is not None and found.over:
        raise SessionOver
    if found is not None:
        return found
    try:
        return await actions.create(
            sessions, owner, CreateSession(), channel="voice", alias=name, locale=locale
        )
    except asyncpg.UniqueViolationError:  # made by another request at the same moment
        async with sessions.db.transaction(owner) as tx:
            made = await store.by_alias(tx, owner, name)
        if made is None:
            raise
        return made
