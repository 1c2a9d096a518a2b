"""Turns as they are counted: by role, channel and how pressing they were, never by words."""

import re
from collections.abc import Iterable, Iterator

from contracts.voice import Channel, Fallback, SpokenTurn
from telemetry import catalogue

PARTS = frozenset({
    "openai", "grok", "groq", "assistant", "library", "openai-realtime", "openai-ear",
    "offline-ear", "openai-voice", "offline-voice", "speech",
})  # fmt: skip
"""The names that a metric may show: whatever else is told from outside is `OTHER`."""
OTHER = "other"
_MODEL = re.compile(r"[\w.:/@+-]{0,100}")
_REASON = re.compile(
    r"too slow|stalled|broke off|lost|no words|no sound|no voice|not connected|not transcribed"
    r"|takes no history|takes no results|left alone|[A-Z]\w{1,40}(Error|Timeout)( [1-5]\d\d)?"
)


def pass_on(fallbacks: Iterable[Fallback]) -> None:
    """Counts what fell back in another process, which nobody scrapes."""
    for each in fallbacks:
        part = each.part if each.part in PARTS else OTHER
        reason = each.reason if _REASON.fullmatch(each.reason) else OTHER
        catalogue.FALLBACKS.add(part, reason, amount=each.times)


def pass_on_waits(turn: SpokenTurn) -> None:
    """Counts how long models took to begin in another process, which nobody scrapes."""
    for used, told in _used(turn):
        first = used.get("first_token_ms")
        if isinstance(first, int) and first > 0:
            catalogue.MODEL_SECONDS.observe(first / 1000, *told)


def names(provider: str, model: str) -> tuple[str, str]:
    """What a metric may call a provider and its model."""
    known = provider in PARTS and _MODEL.fullmatch(model)
    return (provider, model) if known else (OTHER, OTHER)


def show(turn: SpokenTurn, channel: Channel) -> None:
    """Counts a turn that is over and was not recorded before."""
    catalogue.VOICE_TURNS.add(turn.role, channel)
    if turn.role == "user":
        catalogue.TRIAGE.add(str((turn.triage or {}).get("level", "none")), channel)
    for stage, took in turn.latency.model_dump().items():
        if took is not None:
            catalogue.VOICE_STAGE_SECONDS.observe(took / 1000, stage.removesuffix("_ms"), channel)
    for used, told in _used(turn):
        for kind in ("input", "output"):
            tokens = used.get(f"{kind}_tokens", 0)
            if isinstance(tokens, int) and tokens > 0:
                catalogue.MODEL_TOKENS.add(*told, kind, amount=tokens)


def _used(turn: SpokenTurn) -> Iterator[tuple[dict[str, object], tuple[str, str]]]:
    for used in turn.usage:
        yield used, names(str(used.get("provider", "")), str(used.get("model", "")))
