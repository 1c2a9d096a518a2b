"""What the voice service calls, with a token that names the person."""

from uuid import UUID

from fastapi import APIRouter
from starlette.responses import Response

from contracts.voice import AskHistory, History, OpenConversation
from conversation_service.context import Ctx
from conversation_service.conversations.models import ConversationId
from conversation_service.voice import actions
from kit.errors import NotFound
from tokens.doors import Caller

router = APIRouter(prefix="/internal/conversations", include_in_schema=False)


@router.put("/{conversation_id}/voice", status_code=204, response_class=Response)
async def open_conversation(
    conversation_id: UUID, wanted: OpenConversation, caller: Caller, ctx: Ctx
) -> None:
    """A session wants to speak in a conversation."""
    if caller.id is None:
        raise NotFound
    await actions.open_conversation(ctx.db, caller, ConversationId(conversation_id), wanted)


@router.post("/{conversation_id}/history")
async def history(conversation_id: UUID, asked: AskHistory, caller: Caller, ctx: Ctx) -> History:
    """What was said and written there."""
    return await actions.history(ctx.db, ctx.voice, caller, ConversationId(conversation_id), asked)
