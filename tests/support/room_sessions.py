"""Sessions of rooms as rows, for tests of what goes over them."""

import uuid
from datetime import timedelta

from kit.database import Database
from kit.identity import Actor
from voice_service.sessions import store

NOBODY_CAME = (
    "joined_at = clock_timestamp(), dispatched_at = clock_timestamp() - interval '1 minute'"
)
"""The caller waits, and an agent was sent for long ago."""


async def room_session(database: Database, person: Actor, changed: str) -> None:
    """Makes a session of `person`'s; `changed`, an update's list, is what has happened to it."""
    values = {
        "id": uuid.uuid4(),
        "conversation_id": uuid.uuid4(),
        "channel": "voice",
        "pipeline": "offline",
        "room_name": f"room-{uuid.uuid4()}",
    }
    async with database.transaction(person) as tx:
        await store.insert(tx, person, values, timedelta(minutes=10))
    async with database.transaction(Actor.of_service("voice")) as tx:
        await tx.execute(
            f"update public.voice_sessions set {changed} where id = $1",
            values["id"],
        )
