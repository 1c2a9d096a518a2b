"""Turns as they are counted: by role, channel and how pressing they were, never by words."""

from collections.abc import Iterable

from contracts.voice import Channel, Fallback, SpokenTurn
from telemetry import catalogue


def pass_on(fallbacks: Iterable[Fallback]) -> None:
    """Counts what fell back in another process, which nobody scrapes."""
    for each in fallbacks:
        catalogue.FALLBACKS.add(each.part, each.reason, amount=each.times)


def show(turn: SpokenTurn, channel: Channel) -> None:
    """Counts a turn that is over and was not recorded before."""
    catalogue.VOICE_TURNS.add(turn.role, channel)
    if turn.role == "user":
        catalogue.TRIAGE.add(str((turn.triage or {}).get("level", "none")), channel)
    for stage, took in turn.latency.model_dump().items():
        if took is not None:
            catalogue.VOICE_STAGE_SECONDS.observe(took / 1000, stage.removesuffix("_ms"), channel)
    for used in turn.usage:
        names = (str(used.get("provider", "")), str(used.get("model", "")))
        for kind in ("input", "output"):
            tokens = used.get(f"{kind}_tokens", 0)
            if isinstance(tokens, int) and tokens > 0:
                catalogue.MODEL_TOKENS.add(*names, kind, amount=tokens)
