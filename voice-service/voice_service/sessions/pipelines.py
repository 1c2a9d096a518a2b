"""Which pipelines can run here, and which settings each has no use for: tables, no branches."""

from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

from contracts.voice import Pipeline, VoiceSettings
from voice_service.sessions.models import Unavailable, WantedVoice
from voice_service.settings import Settings

OFFLINE_MODULES = ("pocketsphinx", "espeakng_loader")

HONOURED: Mapping[Pipeline, frozenset[str]] = {
    "realtime": frozenset({"instructions", "voice_id", "max_output_tokens"}),
    "cascade": frozenset({"instructions", "voice_id", "temperature", "max_output_tokens"}),
    "offline": frozenset({"voice_id"}),
}
"""What a session may set that its pipeline does something with."""


@dataclass(frozen=True, slots=True)
class Pipelines:
    """Those that are configured; `default` is None where none is."""

    available: frozenset[Pipeline]
    default: Pipeline | None

    def choose(self, wanted: Pipeline | None) -> Pipeline:
        """The pipeline of a session.

        Raises:
            Unavailable: the wanted one is not configured, or none is.
        """
        chosen = wanted if wanted is not None else self.default
        if chosen is None or chosen not in self.available:
            raise Unavailable
        return chosen


def configured(settings: Settings) -> Pipelines:
    """Those that the settings and the installed packages allow."""
    keyed = settings.openai_api_key is not None
    possible: dict[Pipeline, bool] = {
        "realtime": keyed,
        "cascade": keyed,
        "offline": all(find_spec(name) is not None for name in OFFLINE_MODULES),
    }
    available = frozenset(name for name, there in possible.items() if there)
    first: Pipeline = "realtime" if keyed else "offline"
    default = settings.voice_pipeline or first
    return Pipelines(available, default if default in available else None)


def settle(
    pipeline: Pipeline, instructions: str | None, wanted: WantedVoice
) -> tuple[VoiceSettings, list[str]]:
    """The settings to keep, and the names of those given that the pipeline does nothing with."""
    given: dict[str, Any] = {
        name: value for name, value in wanted.model_dump().items() if value is not None
    }
    named = [*given, *(["instructions"] if instructions else [])]
    ignored = sorted({name[:100] for name in named if name not in HONOURED[pipeline]})
    return VoiceSettings.model_validate(given), ignored
