"""SQL that reads the gate's verdicts on a conversation."""

from uuid import UUID

from assistant.safety import Level
from conversation_service.handoff.models import Alarm, Verdicts
from kit.database import Tx

IDS = 20
"""Messages named of each level."""

ALARMS = 6
PRESSING = [Level.EMERGENCY, Level.CRISIS, Level.URGENT]


async def verdicts(tx: Tx, conversation_id: UUID) -> Verdicts:
    """The verdicts on what the person wrote and said."""
    rows = await tx.fetch(
        "select triage ->> 'level' as level, (array_agg(id order by seq desc))[:$2] as ids"
        " from public.messages where conversation_id = $1 and role = 'user'"
        " and triage is not null group by 1",
        conversation_id,
        IDS,
    )
    alarms = await tx.fetch(
        "select id, triage, created_at from public.messages where conversation_id = $1"
        " and role = 'user' and triage ->> 'level' = any($2::text[]) order by seq desc limit $3",
        conversation_id,
        [level.value for level in PRESSING],
        ALARMS,
    )
    return Verdicts(
        {Level(row["level"]): list(row["ids"]) for row in rows},
        [
            Alarm(
                row["id"],
                Level(row["triage"]["level"]),
                [rule["id"] for rule in row["triage"].get("rules", [])],
                row["triage"].get("message"),
                row["created_at"],
            )
            for row in alarms
        ],
    )


async def last_asked(tx: Tx, conversation_id: UUID) -> tuple[UUID, str] | None:
    """The newest message of the person."""
    row = await tx.fetchrow(
        "select id, content from public.messages where conversation_id = $1 and role = 'user'"
        " order by seq desc limit 1",
        conversation_id,
    )
    return (row["id"], row["content"]) if row else None
