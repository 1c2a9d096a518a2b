"""The cap on cost: room is set aside before a model is asked, and corrected by what it took.

What is set aside is rather too much, so a cap is not overshot by replies that run at the same
time. A reply that ends without telling what it took costs what was set aside for it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from uuid import UUID

from assistant.llm.prices import Prices
from assistant.llm.providers import Provider
from assistant.turns import Usage
from conversation_service.usage import store
from conversation_service.usage.models import Cap
from kit.database import Clock, Tx
from kit.identity import Actor
from telemetry import catalogue

BASE_CHARACTERS = 24_000
"""What a prompt holds beside what was said: rules, passages, and the results of tools."""


@dataclass(frozen=True, slots=True)
class Room:
    """What was set aside, in millionths of a US dollar; `reached` names the cap that left none.

    `place` is what the address of a guest is counted under.
    """

    day: date
    micro_usd: int = 0
    reached: Cap | None = None
    place: UUID | None = None


@dataclass(frozen=True, slots=True)
class Budget:
    """Caps in millionths of a US dollar a day, in UTC; without caps nothing is set aside.

    A guest has `guest_cap`, or a person's where there is none, and shares `address_cap` with all
    guests from the same address: new guests bring no new room.
    """

    models: Sequence[Provider]
    prices: Prices
    clock: Clock
    person_cap: int | None = None
    day_cap: int | None = None
    guest_cap: int | None = None
    address_cap: int | None = None

    @property
    def capped(self) -> bool:
        """Whether anything has to be asked before a model is."""
        caps = (self.person_cap, self.day_cap, self.guest_cap, self.address_cap)
        return bool(self.models) and any(cap is not None for cap in caps)

    async def set_aside(self, tx: Tx, actor: Actor, *, characters: int, rounds: int) -> Room:
        """Room for so many calls; the transaction's last statement, for it may hold a lock."""
        today = self.clock().date()
        if actor.id is None or not self.capped:
            return Room(today)
        guest = actor.kind == "guest"
        place = await store.place(tx, actor.id) if guest else None
        accounts: list[tuple[Cap, UUID, int | None]] = [
            ("person", actor.id, self._own_cap(guest=guest)),
        ]
        if place is not None:
            accounts.append(("address", place, self.address_cap))
        accounts.append(("installation", store.INSTALLATION, self.day_cap))
        capped = [(name, account, cap) for name, account, cap in accounts if cap is not None]
        most = self.prices.most(self.models, characters=BASE_CHARACTERS + characters, rounds=rounds)
        reached = await store.set_aside(tx, today, capped, most)
        return Room(today, 0 if reached else most, reached, place)

    def _own_cap(self, *, guest: bool) -> int | None:
        return self.guest_cap if guest and self.guest_cap is not None else self.person_cap

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
            _show(use, cost)
        if missing:
            await store.count(tx, room.day, owner, store.UNREPORTED, missing)
        if change := known + missing - room.micro_usd:
            await store.correct(tx, room.day, owner, change, room.place)


def _show(use: Usage, micro_usd: int) -> None:
    catalogue.MODEL_TOKENS.add(use.provider, use.model, "input", amount=use.prompt_tokens)
    catalogue.MODEL_TOKENS.add(use.provider, use.model, "output", amount=use.completion_tokens)
    catalogue.MODEL_COST.add(use.provider, use.model, amount=micro_usd / 1e6)
