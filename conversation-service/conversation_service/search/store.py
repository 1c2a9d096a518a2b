"""SQL of the search. It reads the person's own rows by their index and compares those alone.

So a search costs what the person has written, however large the table is. An index over all
people's words would not help: row-level security lets no operator that could leak look at a row
before its owner is known.
"""

import re
from typing import Any
from uuid import UUID

from conversation_service.conversations.models import FoundConversation, Match
from conversation_service.search import snippets
from conversation_service.search.places import Place
from kit.database import Tx
from kit.identity import Actor

MATCHES = 3
"""Messages shown of each conversation that a search finds."""

TITLE_WEIGHT = 2.0
"""A word in the title counts as much more than in a message."""

RANKED = (
    "with hits as materialized ("
    "  select m.conversation_id as id, max(ts_rank(m.words, $2::tsquery, 1)) as rank"
    "  from public.messages m where m.owner_id = $1 and m.words @@ $2::tsquery"
    "  and ($6::timestamptz is null or m.ended_at <= $6) and m.replaced_by is null group by 1"
    "  union all"
    "  select c.id, ts_rank(c.words, $2::tsquery, 1) * $8 from public.conversations c"
    "  where c.owner_id = $1 and c.words @@ $2::tsquery),"
    " ranked as (select id, sum(rank)::float8 as rank from hits group by id)"
    " select c.id, c.title, c.pinned, c.created_at, c.updated_at, r.rank,"
    "  coalesce($6::timestamptz, clock_timestamp()) as asof"
    " from ranked r join public.conversations c using (id)"
    " where c.owner_id = $1 and ($6::timestamptz is null or c.created_at <= $6)"
    " and ($9::boolean is null or c.pinned = $9)"
    " and ($3::float8 is null or (r.rank, c.created_at, c.id) < ($3, $4, $5))"
    " order by r.rank desc, c.created_at desc, c.id desc limit $7"
)
"""The owner, the words, the last place (rank, time, id, as of), how many, the weight of
titles, and whether pinned."""

_PREFIX = re.compile(r"(?<![\w\"*-])([^\W_]+)\*")
_WORD = re.compile(r"[^\W_]+")


async def page(
    tx: Tx,
    owner: Actor,
    wanted: str,
    after: Place | None,
    limit: int,
    *,
    pinned: bool | None = None,
) -> tuple[list[FoundConversation], list[Place]]:
    """Conversations that hold the words of `wanted`, best first, and the place of each.

    `pinned` keeps those that are pinned, or those that are not.
    """
    query = await _query(tx, wanted)
    if not query:
        return [], []
    rows = await tx.fetch(
        RANKED,
        owner.id,
        query,
        after.rank if after else None,
        after.created_at if after else None,
        after.id if after else None,
        after.asof if after else None,
        limit,
        TITLE_WEIGHT,
        pinned,
    )
    matches = await _matches(tx, owner, [row["id"] for row in rows], query)
    found, places = [], []
    for row in rows:
        fields: dict[str, Any] = dict(row)
        rank, asof = fields.pop("rank"), fields.pop("asof")
        found.append(FoundConversation(**fields, matches=matches.get(row["id"], [])))
        places.append(Place(rank, row["created_at"], row["id"], asof))
    return found, places


async def _query(tx: Tx, wanted: str) -> str:
    """As `websearch_to_tsquery` reads it, and `word*` for words that begin so; may be empty."""
    beginnings = (snippets.fold(word) for word in _PREFIX.findall(wanted))
    # One letter may fold to several words, or to one with brackets around it.
    prefixes = [word for beginning in beginnings for word in _WORD.findall(beginning)]
    query: str = await tx.fetchval(
        "select (websearch_to_tsquery('english', medbot.folded($1)) && coalesce((select"
        "  to_tsquery('simple', string_agg(p || ':*', ' & ')) from unnest($2::text[]) p),"
        "  ''::tsquery))::text",
        _PREFIX.sub(" ", wanted),
        prefixes,
    )
    return query


async def _matches(tx: Tx, owner: Actor, ids: list[UUID], query: str) -> dict[UUID, list[Match]]:
    rows = await tx.fetch(
        "select f.conversation_id, f.id, f.content, ts_headline('english',"
        "  medbot.folded(f.content), $3::tsquery, $4) as marked"
        " from (select m.conversation_id, m.id, m.seq, m.content, row_number() over"
        "   (partition by m.conversation_id order by ts_rank(m.words, $3::tsquery, 1) desc, m.seq)"
        "   as place from public.messages m where m.owner_id = $1"
        "   and m.conversation_id = any($2::uuid[]) and m.words @@ $3::tsquery"
        "  and m.replaced_by is null) f"
        " where f.place <= $5 order by f.place",
        owner.id,
        ids,
        query,
        f"HighlightAll=true, StartSel={snippets.START}, StopSel={snippets.STOP}",
        MATCHES,
    )
    matches: dict[UUID, list[Match]] = {}
    for row in rows:
        snippet = snippets.cut(row["content"], row["marked"])
        match = Match(message_id=row["id"], snippet=snippet)
        matches.setdefault(row["conversation_id"], []).append(match)
    return matches
