"""How many voice sessions there are and how they end, for those who look after the service."""

from functools import partial

import telemetry
from contracts.voice import EndReason
from kit.database import Database
from kit.identity import Actor
from telemetry import catalogue

ITSELF = Actor.of_service("voice")
RUNNING = ("created", "connecting", "active")


def look_at(db: Database) -> None:
    """Has the sessions that are not over shown by their status, and those that failed from 0 on: to
    Prometheus the first one is a rise only over a 0."""
    for agent in ("none", "came"):
        catalogue.VOICE_ENDED.add("failed", agent, amount=0)
    telemetry.look("sessions", partial(_show, db))


def missed(callers: int) -> None:
    """So many callers are in rooms to which no agent has come."""
    catalogue.VOICE_AGENTS_MISSED.add(amount=callers)


def refused() -> None:
    """A caller was not let in, since no more calls can be carried."""
    catalogue.VOICE_REFUSED.add()


def ended(reason: EndReason, holder: str | None) -> None:
    """A session is over; `holder` is who ran it last."""
    catalogue.VOICE_ENDED.add(reason, "none" if holder is None else "came")


async def _show(db: Database) -> None:
    async with db.transaction(ITSELF) as tx:
        rows = await tx.fetch(
            "select status, count(*) as n from public.voice_sessions where ended_at is null"
            " group by status"
        )
    found = {row["status"]: row["n"] for row in rows}
    for status in RUNNING:
        catalogue.VOICE_SESSIONS.set(found.get(status, 0), status)
