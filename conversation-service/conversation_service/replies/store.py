"""SQL of replies. A running reply grows by parts under a lease; its end folds them into the row."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any
from uuid import UUID

from pydantic import TypeAdapter

from assistant.turns import Citation
from contracts.events import MessageCreated
from conversation_service.feed import store as feed
from conversation_service.messages.store import CITED, SAID
from conversation_service.replies.models import Asked, Ending, Part, Snapshot
from conversation_service.upkeep import store as upkeep
from kit import outbox
from kit.database import Tx
from kit.identity import Actor
from kit.signals import CHANNEL

SOURCE = "conversation-service"

_citations = TypeAdapter(tuple[Citation, ...])


def grown(message_id: UUID) -> str:
    """The signal that a reply has said more, or has ended."""
    return f"reply:{message_id}"


def stopped(message_id: UUID) -> str:
    """The signal that somebody wants a reply to stop."""
    return f"stop:{message_id}"


async def take_places(tx: Tx, conversation_id: UUID, count: int) -> int | None:
    """Locks a conversation and takes the next `count` places in it; answers the first of them."""
    last = await tx.fetchval(
        "update public.conversations set last_seq = last_seq + $2, updated_at = clock_timestamp()"
        " where id = $1 returning last_seq",
        conversation_id,
        count,
    )
    return None if last is None else int(last) - count + 1


async def insert_question(
    tx: Tx,
    actor: Actor,
    conversation_id: UUID,
    message_id: UUID,
    seq: int,
    content: str,
    triage: dict[str, Any],
) -> None:
    """Stores what a person wrote, tells the bus and the feed."""
    await tx.execute(
        "insert into public.messages (id, conversation_id, owner_id, seq, role, content, triage)"
        " values ($1, $2, $3, $4, 'user', $5, $6)",
        message_id,
        conversation_id,
        actor.id,
        seq,
        content,
        triage,
    )
    await tell(tx, actor.id, conversation_id, message_id, seq)


async def insert_reply(
    tx: Tx,
    actor: Actor,
    conversation_id: UUID,
    message_id: UUID,
    seq: int,
    reply_to: UUID,
    lease: float,
    replaces: UUID | None = None,
) -> None:
    """Stores an empty running reply; a second one in the conversation violates a constraint."""
    await tx.execute(
        "insert into public.messages (id, conversation_id, owner_id, seq, role, status, reply_to,"
        "  lease_until, replaces) values ($1, $2, $3, $4, 'assistant', 'streaming', $5,"
        "  clock_timestamp() + make_interval(secs => $6), $7)",
        message_id,
        conversation_id,
        actor.id,
        seq,
        reply_to,
        lease,
        replaces,
    )


async def append(tx: Tx, message_id: UUID, part: Part | None, lease: float) -> bool | None:
    """Adds a part, if there is one, and renews the lease.

    Answers whether somebody wants the reply to stop; None when it does not run any more.
    """
    stop: bool | None = await tx.fetchval(
        "update public.messages set lease_until = clock_timestamp() + make_interval(secs => $2)"
        " where id = $1 and status = 'streaming' returning stop_requested",
        message_id,
        lease,
    )
    if stop is not None and part is not None:
        await tx.execute(
            "with p as (insert into medbot.reply_parts (message_id, seq, start, text, citations,"
            "  tools) values ($1, $2, $3, $4, $5, $6) on conflict do nothing)"
            " select pg_notify($7, $8)",
            message_id,
            part.seq,
            part.start,
            part.text,
            part.citations,
            part.tools,
            CHANNEL,
            grown(message_id),
        )
    return stop


async def finish(
    tx: Tx,
    conversation_id: UUID,
    message_id: UUID,
    ending: Ending,
    last: Part,
    latency: dict[str, Any],
    usage: Sequence[dict[str, Any]],
) -> UUID | None:
    """Folds the parts and `last` into the message; answers its owner.

    None when it does not run any more.
    """
    await lock(tx, conversation_id)
    row = await tx.fetchrow(
        f"update public.messages m set status = $2, content = ({SAID}) || $3,"  # noqa: S608
        f" citations = ({CITED}) || $4, latency = $5, usage = $6, lease_until = null,"
        " ended_at = clock_timestamp()"
        " where m.id = $1 and m.status = 'streaming' returning m.owner_id, m.seq, m.replaces",
        message_id,
        ending,
        last.text,
        last.citations,
        latency,
        list(usage),
    )
    if row is None:
        return None
    if row["replaces"] is not None and ending != "failed":
        await _replace(tx, message_id)
    await upkeep.ask(tx, conversation_id)
    await _end(tx, row["owner_id"], conversation_id, message_id, row["seq"])
    owner: UUID = row["owner_id"]
    return owner


async def with_expired(tx: Tx) -> list[UUID]:
    """The conversations with a reply whose lease has ended, for a service's own actor."""
    rows = await tx.fetch(
        "select conversation_id from public.messages where status = 'streaming'"
        " and lease_until < clock_timestamp() order by lease_until"
    )
    return [row["conversation_id"] for row in rows]


async def lock(tx: Tx, conversation_id: UUID) -> None:
    """Until the end of the transaction nobody else writes into the conversation."""
    await tx.execute("select 1 from public.conversations where id = $1 for update", conversation_id)


async def fail_expired(tx: Tx, conversation_id: UUID) -> bool:
    """Marks a reply whose lease has ended `failed`, keeping what it had said; whether there is one.

    The caller has locked the conversation, and no other one: a person's feed is locked after it.
    """
    row = await tx.fetchrow(
        f"update public.messages m set status = 'failed', content = {SAID},"  # noqa: S608
        f" citations = {CITED}, lease_until = null, ended_at = clock_timestamp()"
        " where m.conversation_id = $1"
        " and m.status = 'streaming' and m.lease_until < clock_timestamp()"
        " returning m.id, m.owner_id, m.seq",
        conversation_id,
    )
    if row is None:
        return False
    await upkeep.ask(tx, conversation_id)
    await _end(tx, row["owner_id"], conversation_id, row["id"], row["seq"])
    return True


async def request_stop(tx: Tx, conversation_id: UUID, message_id: UUID) -> None:
    """Asks whoever writes the reply, on any instance, to end it; nothing if it has ended."""
    await tx.execute(
        "with wanted as (update public.messages set stop_requested = true where id = $1"
        "  and conversation_id = $2 and status = 'streaming' returning id)"
        " select pg_notify($3, $4) from wanted",
        message_id,
        conversation_id,
        CHANNEL,
        stopped(message_id),
    )


async def snapshot(
    tx: Tx, conversation_id: UUID, message_id: UUID, after_part: int = -1
) -> Snapshot | None:
    """A reply as it stands, in one look."""
    row = await tx.fetchrow(
        "select m.reply_to, m.status, m.content, m.citations, u.triage,"
        " (select coalesce(jsonb_agg(jsonb_build_object('seq', p.seq, 'start', p.start, 'text',"
        "   p.text, 'citations', p.citations, 'tools', p.tools) order by p.seq), '[]')"
        "  from medbot.reply_parts p where p.message_id = m.id and p.seq > $3) as parts"
        " from public.messages m join public.messages u on u.id = m.reply_to"
        " where m.id = $1 and m.conversation_id = $2",
        message_id,
        conversation_id,
        after_part,
    )
    if row is None:
        return None
    return Snapshot(
        reply_to=row["reply_to"],
        status=row["status"],
        triage=row["triage"],
        content=row["content"],
        citations=_citations.validate_python(row["citations"]),
        parts=[Part(**part) for part in row["parts"]],
    )


def citation_rows(citations: Sequence[Citation]) -> list[dict[str, Any]]:
    """Citations as they are stored."""
    return [asdict(citation) for citation in citations]


async def asked(tx: Tx, conversation_id: UUID, message_id: UUID) -> Asked | None:
    """The question that a reply answers; None when the actor has no such message there."""
    row = await tx.fetchrow(
        "select m.role, m.status, q.id, q.seq, q.content, q.triage, not exists (select"
        "  from public.messages l where l.conversation_id = $2 and l.role = 'user'"
        "  and l.seq > q.seq) as newest from public.messages m"
        " left join public.messages q on q.id = m.reply_to"
        " where m.id = $1 and m.conversation_id = $2",
        message_id,
        conversation_id,
    )
    if row is None:
        return None
    return Asked(
        is_reply=row["role"] == "assistant" and row["id"] is not None,
        running=row["status"] == "streaming",
        newest=row["newest"],
        question_id=row["id"],
        seq=row["seq"] or 0,
        content=row["content"] or "",
        triage=row["triage"],
    )


async def set_triage(tx: Tx, message_id: UUID, triage: dict[str, Any]) -> None:
    """Stores a newer verdict on a question."""
    await tx.execute("update public.messages set triage = $2 where id = $1", message_id, triage)


async def _replace(tx: Tx, message_id: UUID) -> None:
    """From now on this reply counts, and no older one to the same question."""
    await tx.execute(
        "update public.messages o set replaced_by = n.id from public.messages n"
        " where n.id = $1 and o.reply_to = n.reply_to and o.seq < n.seq"
        " and o.conversation_id = n.conversation_id",
        message_id,
    )


async def _end(tx: Tx, owner_id: UUID, conversation_id: UUID, message_id: UUID, seq: int) -> None:
    await tx.execute(
        "with gone as (delete from medbot.reply_parts where message_id = $1)"
        " select pg_notify($2, $3)",
        message_id,
        CHANNEL,
        grown(message_id),
    )
    await tell(tx, owner_id, conversation_id, message_id, seq)


async def tell(
    tx: Tx, owner_id: UUID | None, conversation_id: UUID, message_id: UUID, seq: int
) -> None:
    """Tells the bus and the feed of a message that is whole."""
    event = MessageCreated(conversation_id=conversation_id, message_id=message_id, seq=seq)
    await outbox.emit(tx, event, source=SOURCE)
    await feed.append(
        tx,
        owner_id,
        "message.created",
        {"conversation_id": conversation_id, "message_id": message_id},
    )
