"""The bus port: durable queues, each with one active consumer, retries and a dead end.

`postgres` is the embedded implementation. Another one has the same two halves: a `Publisher` for
the relay, and `consume`.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Protocol

from contracts.events import Envelope
from kit.database import Tx
from kit.outbox import Publisher

Handler = Callable[[Envelope], Awaitable[None]]
"""Has its effect and its inbox row in one transaction of its own. Raising means: again, later."""


@dataclass(frozen=True, slots=True)
class Retries:
    """`delays` are the seconds before the second, third … attempt; after the last: dead letter."""

    delays: tuple[float, ...] = (1, 5, 30, 120, 600)


class Bus(Publisher, Protocol):
    """Both halves of a bus."""

    async def ping(self) -> None:
        """Raises while events can neither leave nor arrive."""
        ...

    async def consume(self, queue: str, handler: Handler) -> None:
        """Hands the events of `queue` to `handler`, in order on first delivery, until cancelled."""
        ...

    async def waiting(self) -> dict[str, int]:
        """How many events wait in each queue, as far as that can be told now."""
        ...

    async def replay(self, tx: Tx, queue: str, envelope: Envelope) -> None:
        """Hands an event to one queue again, with all its attempts, when `tx` has committed.

        A bus beyond the database may do it a moment earlier: the inbox makes twice harmless.
        """
        ...


REMEMBERED = timedelta(days=14)
"""How long an effect is known to have been had: far longer than all retries take."""


async def first_time(tx: Tx, queue: str, envelope: Envelope) -> bool:
    """Whether this event has not had its effect yet; the answer is kept with the effect."""
    done = await tx.execute(
        "insert into medbot.inbox (queue, event_id) values ($1, $2) on conflict do nothing",
        queue,
        envelope.id,
    )
    return done.endswith(" 1")


async def forget_old(tx: Tx) -> None:
    """Deletes inbox rows whose event can come again no more."""
    await tx.execute(
        "delete from medbot.inbox where done_at < clock_timestamp() - $1::interval", REMEMBERED
    )
