"""`POST …/messages/{id}/feedback`."""

import uuid

from fastapi import APIRouter
from starlette.responses import Response

from conversation_service.context import Ctx
from conversation_service.feedback import store
from conversation_service.feedback.models import GiveFeedback, NotAReply
from kit.errors import NotFound
from tokens.doors import Person

router = APIRouter(prefix="/api/v1/conversations/{conversation_id}/messages", tags=["messages"])


@router.post("/{message_id}/feedback", status_code=204, response_class=Response)
async def give(
    conversation_id: uuid.UUID,
    message_id: uuid.UUID,
    wanted: GiveFeedback,
    person: Person,
    ctx: Ctx,
) -> None:
    """Says what the caller thinks of a reply; what they said before is replaced."""
    async with ctx.db.transaction(person) as tx:
        rateable = await store.rateable(tx, conversation_id, message_id)
        if rateable is None:
            raise NotFound
        if not rateable:
            raise NotAReply
        await store.put(tx, message_id, wanted)
