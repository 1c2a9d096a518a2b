"""Which models may answer, in the order in which they are asked."""

from dataclasses import dataclass, field, replace
from typing import Literal

ProviderName = Literal["openai", "grok", "groq"]

OPENAI = "https://api.openai.com/v1"
XAI = "https://api.x.ai/v1"
OPENROUTER = "https://openrouter.ai/api/v1"
GROQ = "https://api.groq.com/openai/v1"


@dataclass(frozen=True, slots=True)
class Provider:
    """An OpenAI-compatible address with the model to ask there."""

    name: str
    base_url: str
    model: str
    key: str = field(repr=False)


def chain(
    *,
    openai_key: str | None = None,
    openai_base_url: str | None = None,
    grok_key: str | None = None,
    groq_key: str | None = None,
    first: ProviderName | None = None,
    model: str | None = None,
) -> tuple[Provider, ...]:
    """The providers that are configured: OpenAI or a local server, Grok, Groq.

    `first` moves one of them to the front; `model` is what is asked of the front one. A Grok key
    that begins with `sk-or-` is OpenRouter's. Without any key or address the chain is empty, and
    library mode answers.
    """
    providers: list[Provider] = []
    if openai_key or openai_base_url:
        base = openai_base_url or OPENAI
        providers.append(Provider("openai", base, "gpt-4.1-mini", openai_key or "none"))
    if grok_key and grok_key.startswith("sk-or-"):
        providers.append(Provider("grok", OPENROUTER, "x-ai/grok-4-fast", grok_key))
    elif grok_key:
        providers.append(Provider("grok", XAI, "grok-4-fast", grok_key))
    if groq_key:
        providers.append(Provider("groq", GROQ, "llama-3.3-70b-versatile", groq_key))
    providers.sort(key=lambda provider: provider.name != first)
    if providers and model:
        providers[0] = replace(providers[0], model=model)
    return tuple(providers)
