"""How many voice sessions there are, for those who look after the service."""

from functools import partial

import telemetry
from kit.database import Database
from kit.identity import Actor
from telemetry import catalogue

ITSELF = Actor.of_service("voice")
RUNNING = ("created", "connecting", "active")


def look_at(db: Database) -> None:
    """Has the sessions that are not over shown by their status."""
    telemetry.look("sessions", partial(_show, db))


async def _show(db: Database) -> None:
    async with db.transaction(ITSELF) as tx:
        rows = await tx.fetch(
            "select status, count(*) as n from public.voice_sessions where ended_at is null"
            " group by status"
        )
    found = {row["status"]: row["n"] for row in rows}
    for status in RUNNING:
        catalogue.VOICE_SESSIONS.set(found.get(status, 0), status)
