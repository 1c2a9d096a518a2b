"""The cap on cost: room is set aside before a model is asked, and corrected by what it took.

What is set aside is rather too much, so a cap is not overshot by replies that run at the same
time. A reply that ends without telling what it took costs what was set aside for it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Literal
from uuid import UUID

from assistant.llm.prices import Prices
from assistant.llm.providers import Provider
from assistant.turns import Usage
from conversation_service.usage import store
from kit.database import Clock, Tx

Cap = Literal["person", "installation"]

BASE_CHARACTERS = 24_000
"""What a prompt holds beside what was said: rules, passages, and the results of tools."""


@dataclass(frozen=True, slots=True)
class Room:
    """What was set aside, in millionths of a US dollar; `reached` names the cap that left none."""

    day: date
    micro_usd: int = 0
    reached: Cap | None = None


@dataclass(frozen=True, slots=True)
class Budget:
    """Caps in millionths of a US dollar a day, in UTC; without caps nothing is set aside."""

    models: Sequence[Provider]
    prices: Prices
    clock: Clock
    person_cap: int | None = None
    day_cap: int | None = None

    @property
    def capped(self) -> bool:
        """Whether anything has to be asked before a model is."""
        return bool(self.models) and (self.person_cap, self.day_cap) != (None, None)

    async def set_aside(self, tx: Tx, owner: UUID | None, *, characters: int, rounds: int) -> Room:
        """Room for so many calls; the transaction's last statement, for it may hold a lock."""
        today = self.clock().date()
        if owner is None or not self.capped:
            return Room(today)
        most = self.prices.most(self.models, characters=BASE_CHARACTERS + characters, rounds=rounds)
        reached = await store.set_aside(tx, today, owner, most, self.person_cap, self.day_cap)
        return Room(today, 0 if reached else most, reached)

    async def settle(
        self, tx: Tx, room: Room, owner: UUID, usage: Sequence[Usage], *, whole: bool
    ) -> None:
        """Counts what was taken; `whole` is False where a call may have ended without its count.

        For the service's own actor. The transaction's last step.
        """
        spent = [(use, self.prices.cost(use)) for use in usage]
        known = sum(cost for _, cost in spent)
        uncounted = not whole or any(use.prompt_tokens == 0 for use in usage)
        missing = max(0, room.micro_usd - known) if uncounted else 0
        for use, cost in spent:
            await store.count(tx, room.day, owner, use, cost)
        if missing:
            await store.count(tx, room.day, owner, store.UNREPORTED, missing)
        if change := known + missing - room.micro_usd:
            await store.correct(tx, room.day, owner, change)
