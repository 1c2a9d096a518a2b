"""Conversations of people without an account, which nobody came back for."""

from datetime import timedelta

from conversation_service.conversations import deletion
from kit.database import Database
from kit.identity import Actor

ITSELF = Actor.of_service("conversation")
BATCH = 100


async def forget_orphans(db: Database, kept: timedelta) -> int:
    """Deletes those that were last written to longer than `kept` ago; answers how many."""
    forgotten = 0
    while True:
        async with db.transaction(ITSELF) as tx:
            rows = await tx.fetch(
                "select id, owner_id from public.conversations where user_id is null"
                " and updated_at < clock_timestamp() - $1::interval order by updated_at limit $2",
                kept,
                BATCH,
            )
        for row in rows:
            async with db.transaction(ITSELF) as tx:
                forgotten += await deletion.delete(tx, row["owner_id"], row["id"])
        if len(rows) < BATCH:
            return forgotten
