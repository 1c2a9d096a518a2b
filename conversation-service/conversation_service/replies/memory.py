"""Memory: what an answer is told of the conversation so far, bounded however long that is.

The last turns go in as they stand. What is older goes in as the running summary; what the summary
does not cover yet, since it is made in the background, is gone through here for its facts.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from uuid import UUID

from assistant import recall
from assistant.turns import Turn
from conversation_service.summaries import store as summaries
from kit.database import Tx

TURNS = 20
CHARACTERS = 12_000
"""The last turns: at most so many, of so many characters in all."""

GAP = 40
"""Messages at each end of what no summary covers that are gone through for facts at once."""


@dataclass(frozen=True, slots=True)
class Memory:
    """`turns` oldest first; `earlier` sums up what was said before them, empty if nothing was."""

    turns: Sequence[Turn] = field(repr=False)
    earlier: str = field(default="", repr=False)


async def recollect(tx: Tx, conversation_id: UUID, *, before: int | None = None) -> Memory:
    """What was said before the place `before`, or until now."""
    rows = await tx.fetch(
        "select m.seq, m.role, left(m.content, $3) as content from public.messages m"
        " where m.conversation_id = $1 and ($4::bigint is null or m.seq < $4)"
        " and m.status in ('complete', 'interrupted') and m.role <> 'system' and m.content <> ''"
        " and m.replaced_by is null order by m.seq desc limit $2",
        conversation_id,
        TURNS + 1,
        CHARACTERS,
        before,
    )
    kept: list[Turn] = []
    left = CHARACTERS
    oldest = 0
    for row in rows[:TURNS]:
        left -= len(row["content"])
        if left < 0:
            break
        kept.append(Turn(row["role"], row["content"]))
        oldest = row["seq"]
    if len(kept) == len(rows):
        return Memory(kept[::-1])
    oldest = oldest or rows[0]["seq"] + 1
    return Memory(kept[::-1], await earlier(tx, conversation_id, oldest))


async def earlier(tx: Tx, conversation_id: UUID, oldest: int) -> str:
    """The summary of what stands before the place `oldest`."""
    known = await summaries.get(tx, conversation_id)
    facts = [fact for fact in known.facts if fact.seq < oldest]
    gap = {"after": known.through, "before": oldest, "limit": GAP}
    said = await summaries.said(tx, conversation_id, **gap) if known.through < oldest - 1 else []
    if len(said) == GAP:
        gap["after"] = said[-1].seq
        said += await summaries.last_said(tx, conversation_id, **gap)
    if said:
        facts = recall.merge(facts, said)
    return recall.told(facts, known.prose)
