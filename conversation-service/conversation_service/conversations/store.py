"""SQL on `public.conversations`. Row-level security keeps every statement to its actor's rows."""

from datetime import datetime
from uuid import UUID

from conversation_service.conversations.models import (
    ChangeConversation,
    Conversation,
    ConversationId,
    FoundConversation,
)
from kit.database import Tx
from kit.errors import InvalidToken
from kit.identity import Actor

_COLUMNS = "id, title, pinned, created_at, updated_at"


async def insert(tx: Tx, owner: Actor, conversation_id: UUID, title: str) -> Conversation:
    """Creates a conversation of `owner`. Raises InvalidToken when they were erased."""
    row = await tx.fetchrow(
        f"insert into public.conversations (id, owner_id, user_id, title, titled_by)"  # noqa: S608 columns are ours
        f" values ($1, $2, $3, $4, case when $4 <> '' then 'person' end) returning {_COLUMNS}",
        conversation_id,
        owner.id,
        owner.id if owner.kind == "person" else None,
        title,
    )
    if row is None:
        raise InvalidToken
    return Conversation(**row)


async def get(tx: Tx, conversation_id: ConversationId) -> Conversation | None:
    """One conversation of the actor."""
    row = await tx.fetchrow(
        f"select {_COLUMNS} from public.conversations where id = $1",  # noqa: S608 columns are ours
        conversation_id,
    )
    return Conversation(**row) if row else None


async def list_page(
    tx: Tx,
    owner: Actor,
    after: tuple[datetime, UUID] | None,
    limit: int,
    *,
    pinned: bool | None = None,
) -> list[FoundConversation]:
    """The actor's conversations, newest first, those older than `after`.

    `pinned` keeps those that are pinned, or those that are not.
    """
    rows = await tx.fetch(
        f"select {_COLUMNS} from public.conversations"  # noqa: S608 columns are ours
        " where owner_id = $4"
        " and ($1::timestamptz is null or (created_at, id) < ($1, $2))"
        " and ($5::boolean is null or pinned = $5)"
        " order by created_at desc, id desc limit $3",
        *(after or (None, None)),
        limit,
        owner.id,
        pinned,
    )
    return [FoundConversation(**row) for row in rows]


async def update(
    tx: Tx, conversation_id: ConversationId, change: ChangeConversation
) -> Conversation | None:
    """Changes what `change` holds."""
    row = await tx.fetchrow(
        "update public.conversations set title = coalesce($2, title),"  # noqa: S608 columns are ours
        " titled_by = case when $2::text is null then titled_by else 'person' end,"
        " pinned = coalesce($3, pinned), updated_at = clock_timestamp()"
        f" where id = $1 returning {_COLUMNS}",
        conversation_id,
        change.title,
        change.pinned,
    )
    return Conversation(**row) if row else None
