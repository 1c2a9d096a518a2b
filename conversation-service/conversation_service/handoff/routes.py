"""`GET /api/v1/conversations/{id}/handoff`."""

import uuid

from fastapi import APIRouter

from conversation_service.context import Ctx
from conversation_service.conversations import store as conversations
from conversation_service.conversations.models import ConversationId
from conversation_service.handoff import actions
from conversation_service.handoff.models import Handoff
from kit.errors import NotFound
from tokens.doors import Person

router = APIRouter(prefix="/api/v1/conversations/{conversation_id}", tags=["conversations"])


@router.get("/handoff")
async def get(conversation_id: uuid.UUID, person: Person, ctx: Ctx) -> Handoff:
    """The conversation for a clinician (SBAR), each statement with the messages it stands on."""
    async with ctx.db.transaction(person) as tx:
        if await conversations.get(tx, ConversationId(conversation_id)) is None:
            raise NotFound
        return await actions.hand_over(tx, conversation_id, ctx.ground.clock())
