"""`GET /api/v1/conversations/{id}/messages`."""

import uuid
from typing import Literal

from fastapi import APIRouter

from conversation_service.context import Ctx
from conversation_service.conversations import store as conversations
from conversation_service.conversations.models import ConversationId
from conversation_service.messages import store
from conversation_service.messages.models import Message
from kit import paging
from kit.errors import NotFound
from tokens.doors import Person

router = APIRouter(prefix="/api/v1/conversations/{conversation_id}/messages", tags=["messages"])


@router.get("")
async def list_messages(
    conversation_id: uuid.UUID,
    person: Person,
    ctx: Ctx,
    order: Literal["asc", "desc"] = "asc",
    limit: paging.Limit = 20,
    cursor: paging.Cursor = None,
) -> paging.Page[Message]:
    """The messages of a conversation, oldest first unless `order` turns it."""
    place = paging.decode_number(cursor)
    wanted = ConversationId(conversation_id)
    async with ctx.db.transaction(person) as tx:
        if await conversations.get(tx, wanted) is None:
            raise NotFound
        found = await store.list_page(tx, wanted, place, limit + 1, newest_first=order == "desc")
    following = paging.encode(found[limit - 1][0]) if len(found) > limit else None
    return paging.Page(items=[message for _, message in found[:limit]], next_cursor=following)
