"""SQL on `public.conversations`. Row-level security keeps every statement to its actor's rows."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from conversation_service.conversations.models import (
    ChangeConversation,
    Conversation,
    ConversationId,
    FoundConversation,
    Match,
)
from kit.database import Tx
from kit.identity import Actor

_COLUMNS = "id, title, pinned, created_at, updated_at"

MATCHES = 3
"""Messages shown of each conversation that a search finds."""


async def insert(tx: Tx, owner: Actor, conversation_id: UUID, title: str) -> Conversation:
    """Creates a conversation of `owner`."""
    row = await tx.fetchrow(
        f"insert into public.conversations (id, owner_id, user_id, title)"  # noqa: S608 columns are ours
        f" values ($1, $2, $3, $4) returning {_COLUMNS}",
        conversation_id,
        owner.id,
        owner.id if owner.kind == "person" else None,
        title,
    )
    assert row is not None
    return Conversation(**row)


async def get(tx: Tx, conversation_id: ConversationId) -> Conversation | None:
    """One conversation of the actor."""
    row = await tx.fetchrow(
        f"select {_COLUMNS} from public.conversations where id = $1",  # noqa: S608 columns are ours
        conversation_id,
    )
    return Conversation(**row) if row else None


async def list_page(
    tx: Tx, owner: Actor, after: tuple[datetime, UUID] | None, limit: int
) -> list[FoundConversation]:
    """The actor's conversations, newest first, those older than `after`."""
    rows = await tx.fetch(
        f"select {_COLUMNS} from public.conversations"  # noqa: S608 columns are ours
        " where owner_id = $4"
        " and ($1::timestamptz is null or (created_at, id) < ($1, $2))"
        " order by created_at desc, id desc limit $3",
        *(after or (None, None)),
        limit,
        owner.id,
    )
    return [FoundConversation(**row) for row in rows]


async def search_page(
    tx: Tx, owner: Actor, query: str, after: tuple[datetime, UUID] | None, limit: int
) -> list[FoundConversation]:
    """Those whose title or messages hold the words of `query`, newest first."""
    rows = await tx.fetch(
        f"select {_COLUMNS} from public.conversations c"  # noqa: S608 columns are ours
        " where owner_id = $5"
        " and ($1::timestamptz is null or (created_at, id) < ($1, $2))"
        " and (c.words @@ websearch_to_tsquery('english', $4) or id in ("
        "  select conversation_id from public.messages m where m.owner_id = $5"
        "  and m.words @@ websearch_to_tsquery('english', $4)))"
        " order by created_at desc, id desc limit $3",
        *(after or (None, None)),
        limit,
        query,
        owner.id,
    )
    found = [FoundConversation(**row) for row in rows]
    matches = await _matches(tx, [conversation.id for conversation in found], query)
    return [c.model_copy(update={"matches": matches.get(c.id, [])}) for c in found]


async def _matches(tx: Tx, ids: Sequence[UUID], query: str) -> dict[UUID, list[Match]]:
    rows = await tx.fetch(
        "select f.conversation_id, f.id, ts_headline('english', f.content,"
        "  websearch_to_tsquery('english', $2),"
        "  'StartSel=**, StopSel=**, MaxWords=24, MinWords=12') as snippet"
        " from unnest($1::uuid[]) wanted(id) cross join lateral ("
        "  select m.conversation_id, m.id, m.seq, m.content from public.messages m"
        "  where m.conversation_id = wanted.id"
        "  and m.words @@ websearch_to_tsquery('english', $2)"
        "  order by ts_rank(m.words, websearch_to_tsquery('english', $2)) desc, m.seq limit $3"
        " ) f order by f.seq",
        ids,
        query,
        MATCHES,
    )
    matches: dict[UUID, list[Match]] = {}
    for row in rows:
        match = Match(message_id=row["id"], snippet=row["snippet"])
        matches.setdefault(row["conversation_id"], []).append(match)
    return matches


async def update(
    tx: Tx, conversation_id: ConversationId, change: ChangeConversation
) -> Conversation | None:
    """Changes what `change` holds."""
    row = await tx.fetchrow(
        "update public.conversations set title = coalesce($2, title),"  # noqa: S608 columns are ours
        " pinned = coalesce($3, pinned), updated_at = clock_timestamp()"
        f" where id = $1 returning {_COLUMNS}",
        conversation_id,
        change.title,
        change.pinned,
    )
    return Conversation(**row) if row else None


async def delete(tx: Tx, conversation_id: ConversationId) -> bool:
    """Deletes a conversation with everything in it; whether there was one."""
    done = await tx.execute("delete from public.conversations where id = $1", conversation_id)
    return done.endswith(" 1")
