"""What models cost: a list that is data, and a price for those that it does not name."""

import math
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources

from assistant.llm.chat import MAX_TOKENS
from assistant.llm.providers import Provider
from assistant.turns import Usage

CHARACTERS_A_TOKEN = 3
"""Fewer than usual, so that what is set aside is rather too much."""


@dataclass(frozen=True, slots=True)
class Price:
    """US dollars for a million tokens, which is millionths of a dollar for one; and for a minute
    of speech that is heard or spoken."""

    prompt: float = 0.0
    completion: float = 0.0
    minute: float = 0.0

    def micro_usd(self, prompt_tokens: int, completion_tokens: int) -> int:
        """Millionths of a US dollar, rounded up."""
        return math.ceil(prompt_tokens * self.prompt + completion_tokens * self.completion)


@cache
def listed() -> Mapping[str, Mapping[str, Price]]:
    """`prices.toml`: provider → model → price."""
    text = resources.files(__package__ or "").joinpath("prices.toml").read_text("utf-8")
    return {
        provider: {model: Price(**price) for model, price in models.items()}
        for provider, models in tomllib.loads(text).items()
    }


@dataclass(frozen=True, slots=True)
class Prices:
    """`other` is what a model costs that the list does not name."""

    other: Price

    def of(self, provider: str, model: str) -> Price:
        """By the model's name, or by the longest listed name before a `-` or `:` in it."""
        known = listed().get(provider, {})
        fitting = [name for name in known if model == name or model.startswith(
            (f"{name}-20", f"{name}:", f"{name}@"))]  # fmt: skip
        return known[max(fitting, key=len)] if fitting else self.other

    def cost(self, usage: Usage) -> int:
        """Millionths of a US dollar that a call took, by the provider's own count."""
        price = self.of(usage.provider, usage.model)
        return price.micro_usd(usage.prompt_tokens, usage.completion_tokens)

    def most(self, models: Iterable[Provider], *, characters: int, rounds: int) -> int:
        """What `rounds` calls with so many characters cost at most, by the dearest of `models`."""
        tokens = math.ceil(characters / CHARACTERS_A_TOKEN)
        each = (self.of(one.name, one.model).micro_usd(tokens, MAX_TOKENS) for one in models)
        return rounds * max(each, default=0)
