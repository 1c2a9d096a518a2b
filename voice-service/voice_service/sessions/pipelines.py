"""Which pipelines can run here, and which settings each has no use for."""

from collections.abc import Container, Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

from contracts.voice import Pipeline, VoiceSettings
from voice_service.offline import voices
from voice_service.sessions.models import Unavailable, WantedVoice
from voice_service.settings import Settings

OFFLINE_MODULES = ("pocketsphinx", "espeakng_loader")

HONOURED: Mapping[Pipeline, frozenset[str]] = {
    "realtime": frozenset({"instructions", "voice_id", "max_output_tokens"}),
    "cascade": frozenset({"instructions", "voice_id", "temperature", "max_output_tokens"}),
    "offline": frozenset({"voice_id"}),
}
"""What a session may set that its pipeline does something with."""

VOICES: Mapping[Pipeline, Container[str]] = {"offline": voices.VOICES}
"""The voices of a pipeline where they are known."""

ONE_VOICE: Container[Pipeline] = frozenset({"realtime"})
"""Those that keep the voice with which a session began: a model that has spoken has no other."""


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


@dataclass(frozen=True, slots=True)
class Settled:
    """The settings to keep, the names of all that was given, and of what is not done of it."""

    settings: VoiceSettings
    named: frozenset[str]
    ignored: frozenset[str]


def settle(
    pipeline: Pipeline,
    instructions: str | None,
    wanted: WantedVoice,
    *,
    begun: Mapping[str, Any] | None = None,
) -> Settled:
    """What becomes of what is given; `begun` are the settings of a session that has begun."""
    given: dict[str, Any] = {
        name: value for name, value in wanted.model_dump().items() if value is not None
    }
    named = {name[:100] for name in [*given, *(["instructions"] if instructions else [])]}
    ignored = named - HONOURED[pipeline]
    if wanted.voice_id is not None and not _speaks(pipeline, wanted.voice_id, begun):
        ignored.add("voice_id")
        del given["voice_id"]
    return Settled(VoiceSettings.model_validate(given), frozenset(named), frozenset(ignored))


def _speaks(pipeline: Pipeline, voice: str, begun: Mapping[str, Any] | None) -> bool:
    """Whether the pipeline has the voice, and can still take it."""
    if begun is not None and pipeline in ONE_VOICE:
        return voice == begun.get("voice_id")
    return pipeline not in VOICES or voice in VOICES[pipeline]
