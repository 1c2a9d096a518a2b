"""The cap on cost where one speaks: every turn is counted, and a new session begins in the cloud
only while there is room for a minute of it.

What heard and spoke is not told by every provider, so a turn costs what its pipeline was meant to
use for as long as it lasted; a part that failed over to offline voice makes that rather too much.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any
from uuid import UUID

from assistant.llm.prices import Prices
from assistant.llm.providers import Provider
from assistant.turns import Usage
from contracts.voice import Pipeline, SpokenTurn
from kit.database import Clock, Tx
from telemetry import catalogue
from voice_service.turns import counting
from voice_service.usage import store
from voice_service.usage.store import Cap, Cost

MILLION = 1_000_000
MINUTE = Usage("openai-realtime", "", 2_000, 1_200, 3_200)
"""Tokens of a minute of speech with a speech-to-speech model, rather too many."""
PROMPT = 24_000
"""Characters of the prompt of a spoken answer, rather too many."""


@dataclass(frozen=True, slots=True)
class Speech:
    """The models that hear and speak; None where offline voice does."""

    realtime: str
    hears: str | None
    speaks: str | None


@dataclass(frozen=True, slots=True)
class Caps:
    """Millionths of a US dollar a day, in UTC; None is no cap."""

    person: int | None = None
    guest: int | None = None
    address: int | None = None
    installation: int | None = None


@dataclass(frozen=True, slots=True)
class Budget:
    """What turns cost, and the caps that they count for."""

    prices: Prices
    speech: Speech
    models: Sequence[Provider]
    caps: Caps
    clock: Clock

    async def reached(self, tx: Tx, owner: UUID, pipeline: Pipeline, *, guest: bool) -> Cap | None:
        """The cap that leaves no room for a minute of this; for the service's own actor."""
        if pipeline == "offline":
            return None
        today, least = self.clock().date(), self._minute(pipeline)
        for name, account, cap in await self._accounts(tx, owner, guest=guest):
            if await store.spent(tx, today, account) + least > cap:
                return name
        return None

    async def count(
        self, tx: Tx, owner: UUID, pipeline: Pipeline, turn: SpokenTurn, *, guest: bool
    ) -> None:
        """Counts a turn, whoever pays; the last step of the transaction that stores it."""
        costs = list(self._costs(pipeline, turn))
        if not costs:
            return
        today: date = self.clock().date()
        for cost in costs:
            await store.count(tx, today, owner, None if guest else owner, cost)
            told = counting.names(cost.provider, cost.model)
            catalogue.MODEL_COST.add(*told, amount=cost.micro_usd / MILLION)
        total = sum(cost.micro_usd for cost in costs)
        accounts = await self._accounts(tx, owner, guest=guest)
        await store.charge(tx, today, [account for _, account, _ in accounts], total)

    async def _accounts(self, tx: Tx, owner: UUID, *, guest: bool) -> list[tuple[Cap, UUID, int]]:
        own = self.caps.person
        found: list[tuple[Cap, UUID, int | None]] = []
        if guest:
            own = self.caps.guest if self.caps.guest is not None else own
            found.append(("address", await store.place(tx, owner), self.caps.address))
        found += [("person", owner, own), ("installation", store.INSTALLATION,
                                           self.caps.installation)]  # fmt: skip
        return [(name, account, cap) for name, account, cap in found if cap is not None]

    def _costs(self, pipeline: Pipeline, turn: SpokenTurn) -> Iterator[Cost]:
        if pipeline == "offline":
            return
        told = [_usage(use) for use in turn.usage]
        for use in told:
            yield Cost(use.provider, use.model, use.prompt_tokens, use.completion_tokens,
                       self.prices.cost(use))  # fmt: skip
        minutes = (turn.ended_at - turn.started_at).total_seconds() / 60
        model = self.speech.hears if turn.role == "user" else self.speech.speaks
        whole = pipeline == "realtime" and turn.role == "assistant" and told
        if model is not None and not whole:  # a speech-to-speech model's tokens are its voice
            price = self.prices.of("openai", model).minute
            yield Cost("openai", model, 0, 0, math.ceil(minutes * price * MILLION))

    def _minute(self, pipeline: Pipeline) -> int:
        named = [model for model in (self.speech.hears, self.speech.speaks) if model is not None]
        minute = sum(self.prices.of("openai", model).minute for model in named)
        sound = math.ceil(minute * MILLION)
        if pipeline == "realtime":
            price = self.prices.of(MINUTE.provider, self.speech.realtime)
            return sound + price.micro_usd(MINUTE.prompt_tokens, MINUTE.completion_tokens)
        return sound + self.prices.most(self.models, characters=PROMPT, rounds=1)


def _usage(told: dict[str, Any]) -> Usage:
    """What a part told of itself, as it stands in a turn."""
    prompt, completion = _number(told.get("input_tokens")), _number(told.get("output_tokens"))
    provider, model = str(told.get("provider", ""))[:100], str(told.get("model", ""))[:200]
    return Usage(provider, model, prompt, completion, prompt + completion)


def _number(value: object) -> int:
    return max(0, int(value)) if isinstance(value, int | float) else 0
