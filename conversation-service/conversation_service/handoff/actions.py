"""Makes the hand-over: quotes and verdicts, no conclusion of its own."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from assistant import recall
from assistant.safety import Level
from conversation_service.handoff import store
from conversation_service.handoff.models import Alarm, Handoff, Statement, Verdicts
from conversation_service.summaries import store as summaries
from kit.database import Tx

UNSUMMED = 400
"""Messages beyond the summary that are gone through for facts."""

MOST = 8
"""Statements of one kind of fact."""

QUOTED = 400
"""Characters of a message that is quoted."""

_BACKGROUND: tuple[recall.Kind, ...] = ("allergy", "medicine", "condition", "pregnancy")
_NEXT = {
    Level.EMERGENCY: "Make sure that emergency help has been reached.",
    Level.CRISIS: "Ask whether the person is safe now, and who is with them.",
    Level.URGENT: "To be seen today.",
}


async def hand_over(tx: Tx, conversation_id: UUID, now: datetime) -> Handoff:
    """The conversation as SBAR; every statement stands on messages of it."""
    known = await summaries.get(tx, conversation_id)
    said = await summaries.said(tx, conversation_id, after=known.through, limit=UNSUMMED)
    facts = recall.merge(known.facts, said)
    verdicts = await store.verdicts(tx, conversation_id)
    asked = await store.last_asked(tx, conversation_id)
    level = min(verdicts.by_level, key=lambda each: each.rank, default=None)
    return Handoff(
        conversation_id=conversation_id,
        made_at=now,
        level=level,
        situation=_situation(facts, asked),
        background=[s for kind in _BACKGROUND for s in _quotes(facts, kind)],
        assessment=_assessment(verdicts, level),
        recommendation=_recommendation(verdicts.alarms),
    )


def _situation(facts: Sequence[recall.Fact], asked: tuple[UUID, str] | None) -> list[Statement]:
    found = _quotes(facts, "person") + _quotes(facts, "symptom")
    if asked is not None:
        text = " ".join(asked[1].split())
        shown = text if len(text) <= QUOTED else f"{text[:QUOTED]}…"
        found.append(Statement(text=f'Last message: "{shown}"', message_ids=[asked[0]]))
    return found


def _quotes(facts: Sequence[recall.Fact], kind: recall.Kind) -> list[Statement]:
    """The newest facts of a kind in the person's words; the same words said twice stand once."""
    own = [fact for fact in facts if fact.kind == kind][-MOST:]
    heading = recall.HEADINGS[kind]
    return [
        Statement(text=f'{heading}: "{fact.text}"', message_ids=[UUID(fact.ref)]) for fact in own
    ]


def _assessment(verdicts: Verdicts, level: Level | None) -> list[Statement]:
    if level is None:
        return []
    most = f"The most pressing level that the automatic triage gave is: {level}."
    found = [Statement(text=most, message_ids=verdicts.by_level[level])]
    for alarm in verdicts.alarms:
        when = f"{alarm.at:%Y-%m-%d %H:%M} UTC"
        rules = f" by the rules {', '.join(alarm.rules)}" if alarm.rules else ""
        text = f"{when}: rated {alarm.level}{rules}."
        found.append(Statement(text=text, message_ids=[alarm.message_id]))
    return found


def _recommendation(alarms: Sequence[Alarm]) -> list[Statement]:
    found = []
    for level, todo in _NEXT.items():
        ids = [alarm.message_id for alarm in alarms if alarm.level == level]
        if ids:
            found.append(Statement(text=todo, message_ids=ids))
    told: dict[str, list[UUID]] = {}
    for alarm in alarms:
        if alarm.told:
            told.setdefault(alarm.told, []).append(alarm.message_id)
    for text, ids in told.items():
        found.append(Statement(text=f'The person was told: "{text}"', message_ids=ids))
    return found
