"""Asides: short texts that a model writes for nobody in particular, such as a title."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field

import structlog

from assistant import prompts
from assistant.llm.chat import Chat, ProviderFailed
from assistant.tools import search_library
from assistant.turns import Text, Usage

_log = structlog.stdlib.get_logger(__name__)


@dataclass(slots=True)
class Aside:
    """What came of it; `text` is None when no model wrote it in time and at its proper length.

    `cut` says that a model was broken off, and never told what it took.
    """

    text: str | None = None
    cut: bool = False
    usage: list[Usage] = field(default_factory=list)


async def write(
    models: Sequence[Chat], prompt: str, material: str, *, longest: int, within: float
) -> Aside:
    """Asks the models in order, for `within` seconds in all, to do `prompts/<prompt>.md`.

    `material` is data, never instructions. An answer over `longest` characters is no answer.
    """
    aside = Aside()
    messages = [
        {"role": "system", "content": prompts.read(prompt)},
        {"role": "user", "content": f"<material>\n{search_library.plain(material)}\n</material>"},
    ]
    try:
        async with asyncio.timeout(within):
            for model in models:
                aside.text = await _ask(model, messages, longest, aside)
                if aside.text is not None:
                    break
    except TimeoutError:
        aside.cut = True
        _log.warning("aside.too_slow", prompt=prompt)
    return aside


async def _ask(
    model: Chat, messages: Sequence[dict[str, str]], longest: int, aside: Aside
) -> str | None:
    said = ""
    try:
        async for piece in model.stream(messages, [], aside=True):
            if isinstance(piece, Text):
                said += piece.text
            elif isinstance(piece, Usage):
                aside.usage.append(piece)
            if len(said) > longest:
                aside.cut = True
                return None
    except ProviderFailed as failed:
        _log.warning("aside.failed", provider=failed.provider, reason=failed.reason)
        return None
    return said.strip() or None
