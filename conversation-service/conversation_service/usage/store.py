"""SQL of usage and spending."""

from collections.abc import Sequence
from datetime import date
from uuid import UUID

from assistant.turns import Usage
from conversation_service.usage.models import By, Cap, Used
from kit.database import Tx
from privacy.audit import Record

SERVICE = "conversation"
INSTALLATION = UUID(int=0)
NOWHERE = UUID(int=1)
UNREPORTED = Usage("unreported", "", 0, 0, 0)


async def place(tx: Tx, guest: UUID) -> UUID:
    """What a guest's address is counted under; guests whose address nobody knows share one."""
    found: UUID | None = await tx.fetchval(
        "select place from medbot.guest_places where guest_id = $1", guest
    )
    return found or NOWHERE


async def set_aside(
    tx: Tx, day: date, accounts: Sequence[tuple[Cap, UUID, int]], amount: int
) -> Cap | None:
    """None when there was room in all of them; else the cap of the first that had none."""
    if not accounts:
        return None
    full: int | None = await tx.fetchval(
        "select medbot.set_aside($1, $2, $3, $4)",
        day,
        [account for _, account, _ in accounts],
        [cap for _, _, cap in accounts],
        amount,
    )
    return None if full is None else accounts[full - 1][0]


async def count(tx: Tx, day: date, owner: UUID, usage: Usage, micro_usd: int) -> None:
    """Adds a call to the day of a person."""
    await tx.execute(
        "insert into medbot.usage as u (day, owner_id, user_id, service, provider, model, calls,"
        "  prompt_tokens, completion_tokens, micro_usd)"
        " values ($1, $2, (select c.user_id from public.conversations c where c.owner_id = $2"
        "  limit 1), $3, $4, $5, 1, $6, $7, $8)"
        " on conflict (day, owner_id, service, provider, model) do update set"
        "  calls = u.calls + 1, prompt_tokens = u.prompt_tokens + excluded.prompt_tokens,"
        "  completion_tokens = u.completion_tokens + excluded.completion_tokens,"
        "  micro_usd = u.micro_usd + excluded.micro_usd",
        day,
        owner,
        SERVICE,
        usage.provider,
        usage.model,
        usage.prompt_tokens,
        usage.completion_tokens,
        micro_usd,
    )


async def correct(tx: Tx, day: date, owner: UUID, change: int, place: UUID | None = None) -> None:
    """Adds to what is gone of the caps, where they are counted; rows are locked in one order."""
    accounts = {owner, INSTALLATION, place or INSTALLATION}
    for one in sorted(accounts, reverse=True):
        await tx.execute(
            "update medbot.spending set micro_usd = greatest(0, micro_usd + $3)"
            " where day = $1 and owner_id = $2",
            day,
            one,
            change,
        )


async def mark_limited(tx: Tx, message_id: UUID, cap: str) -> None:
    """The library answers this message, since a cap was reached."""
    await tx.execute("update public.messages set limited = $2 where id = $1", message_id, cap)


async def join(tx: Tx, guest: UUID, person: UUID) -> None:
    """What a guest has spent counts for the person who they proved to be."""
    await tx.execute(
        "with gone as (delete from medbot.usage where owner_id = $1 returning *)"
        " insert into medbot.usage as u select g.day, $2, $2, g.service, g.provider, g.model,"
        "  g.calls, g.prompt_tokens, g.completion_tokens, g.micro_usd from gone g"
        " on conflict (day, owner_id, service, provider, model) do update set"
        "  calls = u.calls + excluded.calls,"
        "  prompt_tokens = u.prompt_tokens + excluded.prompt_tokens,"
        "  completion_tokens = u.completion_tokens + excluded.completion_tokens,"
        "  micro_usd = u.micro_usd + excluded.micro_usd",
        guest,
        person,
    )
    await tx.execute(
        "with gone as (delete from medbot.spending where owner_id = $1 returning *)"
        " insert into medbot.spending as s select g.day, $2, g.micro_usd from gone g"
        " on conflict (day, owner_id) do update set micro_usd = s.micro_usd + excluded.micro_usd",
        guest,
        person,
    )


_BY: dict[By, str] = {
    "day": "u.day::text",
    "person": "u.user_id::text",
    "model": "u.provider || ' ' || u.model",
    "service": "u.service",
}


async def report(record: Record, first: date, last: date, by: By) -> list[Used]:
    """Sums of the days from `first` to `last`; who has no account (any more) is in one sum."""
    rows = await record.tx.fetch(
        f"select {_BY[by]} as name, sum(calls)::bigint as calls,"  # noqa: S608 ours
        " sum(prompt_tokens)::bigint as prompt_tokens,"
        " sum(completion_tokens)::bigint as completion_tokens,"
        " (sum(micro_usd) / 1e6)::float as usd from medbot.usage u"
        " where u.day between $1 and $2 group by 1 order by usd desc, 1 limit 1000",
        first,
        last,
    )
    if by == "person":
        record.about(*(UUID(row["name"]) for row in rows if row["name"] is not None))
    return [Used(**row) for row in rows]
