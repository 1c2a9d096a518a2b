"""How a caller comes into a room."""

import hashlib
from datetime import datetime, timedelta
from uuid import UUID

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


def private_room(owner_id: UUID | None, name: str) -> str:
    """The real name of a room that somebody calls `name`: nobody else comes in by that name."""
    return f"room-{hashlib.sha256(f'{owner_id}/{name}'.encode()).hexdigest()[:40]}"


async def session_of_room(sessions: Sessions, owner: Actor, name: str) -> Row:
    """The owner's session with this room or, under another name, one that is made or goes on.

    Raises:
        SessionOver: the session of that room has ended.
        actions' errors
    """
    real = private_room(owner.id, name)
    async with sessions.db.transaction(owner) as tx:
        named = await store.by_room(tx, name)
        called = await store.by_room(tx, real)
    if named is not None and named.over:
        raise SessionOver
    found = named or (called if called is not None and not called.over else None)
    if found is not None:
        return found
    try:
        return await actions.create(
            sessions, owner, CreateSession(), channel="voice", room_name=real
        )
    except asyncpg.UniqueViolationError:  # made by another request at the same moment
        async with sessions.db.transaction(owner) as tx:
            made = await store.by_room(tx, real)
        if made is None:
            raise
        return made
