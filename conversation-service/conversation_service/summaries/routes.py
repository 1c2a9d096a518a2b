"""`GET /api/v1/conversations/{id}/summary`."""

import uuid

from fastapi import APIRouter

from assistant import recall
from conversation_service.context import Ctx
from conversation_service.conversations import store as conversations
from conversation_service.conversations.models import ConversationId
from conversation_service.summaries import store
from conversation_service.summaries.models import Summary, SummaryFact
from kit.errors import NotFound
from tokens.doors import Person

router = APIRouter(prefix="/api/v1/conversations/{conversation_id}", tags=["conversations"])


@router.get("/summary")
async def get(conversation_id: uuid.UUID, person: Person, ctx: Ctx) -> Summary:
    """What answers are told of the earlier part of the conversation."""
    async with ctx.db.transaction(person) as tx:
        if await conversations.get(tx, ConversationId(conversation_id)) is None:
            raise NotFound
        kept = await store.get(tx, conversation_id)
        messages = await store.covered(tx, conversation_id, kept.through)
    facts = [
        SummaryFact(kind=fact.kind, text=fact.text, message_id=uuid.UUID(fact.ref))
        for fact in kept.facts
    ]
    return Summary(
        text=recall.told(kept.facts, kept.prose),
        facts=facts,
        written_by=kept.written_by,
        messages=messages,
        updated_at=kept.updated_at,
    )
