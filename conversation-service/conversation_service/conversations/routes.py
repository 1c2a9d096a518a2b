"""`/api/v1/conversations`."""

import uuid
from typing import Annotated

from fastapi import APIRouter, Query
from starlette.responses import Response

from conversation_service.context import NAME, Ctx
from conversation_service.conversations import deletion, store
from conversation_service.conversations.models import (
    ChangeConversation,
    Conversation,
    ConversationId,
    CreateConversation,
    FoundConversation,
)
from conversation_service.feed import store as feed
from conversation_service.search import places
from conversation_service.search import store as search
from kit import idempotency, paging
from kit.database import Tx
from kit.errors import NotFound
from kit.identity import Actor
from kit.text import Storable
from tokens.doors import Person

router = APIRouter(prefix="/api/v1/conversations", tags=["conversations"])


@router.post("", status_code=201)
async def create(
    wanted: CreateConversation, person: Person, ctx: Ctx, key: idempotency.Key = None
) -> Conversation:
    """Creates a conversation."""
    made = {"conversation_id": str(uuid.uuid4())}
    async with ctx.db.transaction(person) as tx:
        earlier = await idempotency.claim(
            tx, person, key, "conversations.create", wanted.model_dump(), made
        )
        if earlier is not None:
            return await _get(tx, ConversationId(uuid.UUID(earlier["conversation_id"])))
        return await store.insert(tx, person, uuid.UUID(made["conversation_id"]), wanted.title)


@router.get("", response_model_exclude_unset=True)
async def list_own(
    person: Person,
    ctx: Ctx,
    q: Annotated[Storable | None, Query(min_length=1, max_length=200)] = None,
    pinned: bool | None = None,
    limit: paging.Limit = 20,
    cursor: paging.Cursor = None,
) -> paging.Page[FoundConversation]:
    """The caller's conversations, newest first; `q` searches titles and messages, best first."""
    if q is not None:
        return await _search(ctx, person, q, pinned, limit, cursor)
    after = paging.decode_time(cursor)
    async with ctx.db.transaction(person) as tx:
        found = await store.list_page(tx, person, after, limit + 1, pinned=pinned)
    last = found[limit - 1] if len(found) > limit else None
    following = paging.encode(last.created_at.isoformat(), last.id) if last else None
    return paging.Page(items=found[:limit], next_cursor=following)


async def _search(
    ctx: Ctx, person: Actor, wanted: str, pinned: bool | None, limit: int, cursor: str | None
) -> paging.Page[FoundConversation]:
    after = places.decode(cursor)
    async with ctx.db.transaction(person) as tx:
        found, where = await search.page(tx, person, wanted, after, limit + 1, pinned=pinned)
    following = places.encode(where[limit - 1]) if len(found) > limit else None
    return paging.Page(items=found[:limit], next_cursor=following)


@router.get("/{conversation_id}")
async def get(conversation_id: uuid.UUID, person: Person, ctx: Ctx) -> Conversation:
    """One conversation."""
    async with ctx.db.transaction(person) as tx:
        return await _get(tx, ConversationId(conversation_id))


@router.patch("/{conversation_id}")
async def change(
    conversation_id: uuid.UUID, wanted: ChangeConversation, person: Person, ctx: Ctx
) -> Conversation:
    """Renames or pins a conversation."""
    async with ctx.db.transaction(person) as tx:
        changed = await store.update(tx, ConversationId(conversation_id), wanted)
        if changed is None:
            raise NotFound
        await feed.append(
            tx, person.id, "conversation.changed", {"conversation_id": conversation_id}
        )
        return changed


@router.delete("/{conversation_id}", status_code=204, response_class=Response)
async def delete(conversation_id: uuid.UUID, person: Person, ctx: Ctx) -> None:
    """Deletes a conversation with everything in it and everything that names it."""
    async with ctx.db.transaction(Actor.of_service(NAME, acting_for=person.id)) as tx:
        if not await deletion.delete(tx, person.id, conversation_id):
            raise NotFound


async def _get(tx: Tx, conversation_id: ConversationId) -> Conversation:
    found = await store.get(tx, conversation_id)
    if found is None:
        raise NotFound
    return found
