"""SQL that upkeep reads conversations by."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from uuid import UUID

from kit.database import Tx
from kit.identity import Actor


@dataclass(frozen=True, slots=True)
class Exchange:
    """The first question of a conversation with the reply to it; `topics` are its citations',
    `messages` the ids of both."""

    question: str = field(repr=False)
    level: str
    reply: str = field(repr=False)
    topics: list[str]
    messages: list[UUID]


async def untitled(tx: Tx, conversation_id: UUID) -> Exchange | None:
    """The first exchange of a conversation that has no title yet, once that has ended."""
    row = await tx.fetchrow(
        "select q.content, coalesce(q.triage ->> 'level', 'none') as level,"
        " coalesce(r.content, '') as reply, coalesce(r.citations, '[]') as citations,"
        " array_remove(array[q.id, r.id], null) as messages"
        " from public.conversations c join lateral (select * from public.messages m"
        "  where m.conversation_id = c.id and m.role = 'user' order by m.seq limit 1) q on true"
        " left join lateral (select * from public.messages m where m.conversation_id = c.id"
        "  and m.role = 'assistant' and m.seq > q.seq and m.status <> 'streaming'"
        "  order by m.seq limit 1) r on true"
        " where c.id = $1 and c.titled_by is null",
        conversation_id,
    )
    if row is None:
        return None
    topics = [citation["title"] for citation in row["citations"]]
    return Exchange(row["content"], row["level"], row["reply"], topics, row["messages"])


async def set_title(
    tx: Tx, conversation_id: UUID, title: str, *, of: Sequence[UUID]
) -> UUID | None:
    """Titles a conversation that nobody has titled, as long as the messages that the title is
    made of are there; answers its owner if that was so."""
    await tx.execute(  # whether they are there is asked once nobody can remove them any more
        "select 1 from public.conversations where id = $1 for no key update", conversation_id
    )
    owner: UUID | None = await tx.fetchval(
        "update public.conversations set title = $2, titled_by = 'assistant'"
        " where id = $1 and titled_by is null and (select count(*) from public.messages"
        "  where id = any($3)) = cardinality($3) returning owner_id",
        conversation_id,
        title,
        of,
    )
    return owner


async def wants_summary(tx: Tx, conversation_id: UUID, short: int) -> bool:
    """Whether it has more messages than `short`."""
    wants: bool | None = await tx.fetchval(
        "select last_seq > $2 from public.conversations where id = $1", conversation_id, short
    )
    return bool(wants)


async def owner(tx: Tx, conversation_id: UUID) -> Actor | None:
    """Whose conversation it is, as long as it is there."""
    row = await tx.fetchrow(
        "select owner_id, user_id from public.conversations where id = $1", conversation_id
    )
    if row is None:
        return None
    return Actor(row["owner_id"], "guest" if row["user_id"] is None else "person")
