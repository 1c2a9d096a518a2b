"""SQL of usage and spending, as far as speech goes."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Literal
from uuid import UUID

from kit.database import Tx

Cap = Literal["person", "address", "installation"]

SERVICE = "voice"
INSTALLATION = UUID(int=0)
NOWHERE = UUID(int=1)
"""Guests whose address nobody knows share one."""


@dataclass(frozen=True, slots=True)
class Cost:
    """One use of a model."""

    provider: str
    model: str
    prompt_tokens: int
    completion_tokens: int
    micro_usd: int


async def place(tx: Tx, guest: UUID) -> UUID:
    """What a guest's address is counted under."""
    found: UUID | None = await tx.fetchval(
        "select place from medbot.guest_places where guest_id = $1", guest
    )
    return found or NOWHERE


async def spent(tx: Tx, day: date, account: UUID) -> int:
    """What is gone of a day: spent, and set aside for replies that run."""
    found: int = await tx.fetchval(
        "select coalesce((select micro_usd from medbot.spending where day = $1 and owner_id = $2),"
        " (select sum(micro_usd) from medbot.usage where day = $1 and (owner_id = $2 or $2 = $3)),"
        " 0)::bigint",
        day,
        account,
        INSTALLATION,
    )
    return found


async def count(tx: Tx, day: date, owner: UUID, user: UUID | None, cost: Cost) -> None:
    """Adds a use to the day of a person."""
    await tx.execute(
        "insert into medbot.usage as u (day, owner_id, user_id, service, provider, model, calls,"
        "  prompt_tokens, completion_tokens, micro_usd)"
        " values ($1, $2, $3, $4, $5, $6, 1, $7, $8, $9)"
        " on conflict (day, owner_id, service, provider, model) do update set"
        "  calls = u.calls + 1, prompt_tokens = u.prompt_tokens + excluded.prompt_tokens,"
        "  completion_tokens = u.completion_tokens + excluded.completion_tokens,"
        "  micro_usd = u.micro_usd + excluded.micro_usd",
        day,
        owner,
        user,
        SERVICE,
        cost.provider,
        cost.model,
        cost.prompt_tokens,
        cost.completion_tokens,
        cost.micro_usd,
    )


async def charge(tx: Tx, day: date, accounts: Sequence[UUID], micro_usd: int) -> None:
    """Adds to what is gone of the caps; rows are locked in one order, the installation's last.

    The first of a day begins with what was counted before, this among it; an address has no usage
    of its own.
    """
    for account in sorted(set(accounts), reverse=True):
        await tx.execute(
            "insert into medbot.spending as s (day, owner_id, micro_usd) values ($1, $2,"
            "  greatest($3::bigint, (select sum(micro_usd) from medbot.usage"
            "   where day = $1 and (owner_id = $2 or $2 = $4))))"
            " on conflict (day, owner_id) do update set micro_usd = s.micro_usd + $3",
            day,
            account,
            micro_usd,
            INSTALLATION,
        )
