"""Pipelines as data: for each, its parts in the order in which they are asked.

A provider to come is one more maker in the tables below, and its name in a recipe.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

import openai as openai_client
from livekit.agents import APIConnectOptions
from livekit.plugins import openai
from openai.types import realtime as realtime_types

from assistant import prompts
from assistant.llm.environment import plain
from assistant.reply import Assistant
from assistant.turns import Turn
from contracts.voice import Pipeline, Plan, VoiceSettings
from voice_service.agent import remembering
from voice_service.agent import resources as opened
from voice_service.agent.ears import StreamEar, WholeEar
from voice_service.agent.hearing import Chain
from voice_service.agent.line import Line
from voice_service.agent.minds import Answers, AssistantMind, LibraryMind
from voice_service.agent.parts import Ear, Mind, Voice
from voice_service.agent.realtime import RealtimeEar, RealtimeMind
from voice_service.agent.resources import Resources
from voice_service.agent.rhythm import Fillers, Rhythm
from voice_service.agent.speaker import SAMPLE_RATE
from voice_service.agent.voices import PluginVoice, Speech

OPENAI = "https://api.openai.com/v1"
SPOKEN = "en"
"""The language of phrases, rules and library, and so of what is expected to be heard."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """The names of the parts, first choice first."""

    ears: tuple[str, ...]
    minds: tuple[str, ...]
    voices: tuple[str, ...]


RECIPES: Mapping[Pipeline, Recipe] = {
    "realtime": Recipe(
        ("realtime", "openai", "offline"),
        ("realtime", "assistant", "library"),
        ("openai", "offline"),
    ),
    "cascade": Recipe(("openai", "offline"), ("assistant", "library"), ("openai", "offline")),
    "offline": Recipe(("offline",), ("library",), ("offline",)),
}


class Shop:
    """What the makers of one session's parts have at hand."""

    def __init__(
        self, plan: Plan, resources: Resources, history: Callable[[], Sequence[Turn]]
    ) -> None:
        self.plan, self.resources = plan, resources
        self.settings = resources.settings
        self.history = history
        self.wanted: VoiceSettings = plan.voice_settings
        self._instructions = plan.instructions
        self.assistant = self._made_assistant()
        self._line: Line | None = None
        self._model: openai.realtime.RealtimeModel | None = None

    @property
    def key(self) -> str | None:
        """The key for OpenAI, or anything where a local server needs none."""
        key = plain(self.settings.openai_api_key)
        return key or ("none" if self.settings.openai_base_url else None)

    @property
    def address(self) -> str:
        """Where OpenAI's API is."""
        return self.settings.openai_base_url or OPENAI

    def client(self) -> openai_client.AsyncClient:
        """A client of this session's own over the shared pool, for hearing and reading aloud."""
        return openai_client.AsyncClient(
            api_key=self.key,
            base_url=self.settings.speech_base_url or self.address,
            http_client=self.resources.http,
            max_retries=0,
        )

    def line(self) -> Line:
        """The realtime connection, shared by its ear and its mind."""
        if self._line is None:
            self._line = Line(
                "openai-realtime",
                self._realtime_model,
                instructions=self.prompt(),
                make_tools=lambda given: self.assistant.toolbox(given),
                history=self.history,
                earlier=self.plan.summary or "",
            )
            self._line.open()
        return self._line

    async def change(self, instructions: str | None, wanted: VoiceSettings | None) -> None:
        """What is None stays as it is."""
        self.wanted = wanted or self.wanted
        self._instructions = self._instructions if instructions is None else instructions
        self.assistant = self._made_assistant()
        if self._line is not None and self._model is not None:
            self._limit(self._model)
            await self._line.instruct(self.prompt())

    def _limit(self, model: openai.realtime.RealtimeModel) -> None:
        """How long an answer of the model may be; also of one that is connected."""
        if self.wanted.max_output_tokens is not None:
            model.update_options(max_response_output_tokens=self.wanted.max_output_tokens)

    def _made_assistant(self) -> Assistant:
        plain_one = opened.instructed(self.resources.assistant, self._instructions)
        return tuned(plain_one, self.wanted)

    def prompt(self) -> str:
        """The whole instructions of a speech-to-speech model."""
        return prompts.system(operator=self.assistant.operator_prompt, spoken=True)

    def _realtime_model(self) -> openai.realtime.RealtimeModel:
        model = self._model = openai.realtime.RealtimeModel(
            model=self.settings.realtime_model,
            voice=self.wanted.voice_id or self.settings.tts_voice,
            base_url=self.address,
            api_key=self.key,
            turn_detection=None,
            input_audio_transcription=realtime_types.AudioTranscription(
                model=self.settings.transcription_model, language=SPOKEN
            ),
            http_session=self.resources.sockets,
            conn_options=APIConnectOptions(max_retry=0, retry_interval=0.1, timeout=2.0),
        )
        self._limit(model)
        return model


def _realtime_ear(shop: Shop) -> Ear | None:
    return RealtimeEar(shop.line(), within=1.5) if shop.key else None


def _openai_ear(shop: Shop) -> Ear | None:
    if not shop.key:
        return None
    plugin = openai.STT(
        model=shop.settings.transcription_model,
        language=SPOKEN,
        client=shop.client(),
    )
    return WholeEar("openai-ear", plugin, within=1.5)


def _local_ear(shop: Shop) -> Ear | None:
    local = shop.resources.local
    return StreamEar("offline-ear", local.stt(), within=8.0) if local is not None else None


def _realtime_mind(shop: Shop) -> Mind | None:
    return RealtimeMind(shop.line(), within=1.6) if shop.key else None


def _assistant_mind(shop: Shop) -> Mind | None:
    each = shop.settings.voice_first_token_seconds + 0.3
    return AssistantMind(
        lambda: shop.assistant,
        within=each * max(1, len(shop.assistant.models)) + 2,
        earlier=lambda given: remembering.earlier(shop.plan.summary, shop.history(), given),
    )


def _library_mind(shop: Shop) -> Mind | None:
    return LibraryMind(lambda: shop.assistant)


def _openai_voice(shop: Shop) -> Voice | None:
    if not shop.key:
        return None
    plugin = openai.TTS(
        model=shop.settings.speech_model,
        voice=shop.wanted.voice_id or shop.settings.tts_voice,
        response_format="pcm",
        client=shop.client(),
    )
    return PluginVoice("openai-voice", plugin, within=1.0)


def _local_voice(shop: Shop) -> Voice | None:
    local = shop.resources.local
    return (
        PluginVoice("offline-voice", local.tts(shop.wanted.voice_id), within=5.0)
        if local is not None
        else None
    )


EARS: Mapping[str, Callable[[Shop], Ear | None]] = {
    "realtime": _realtime_ear,
    "openai": _openai_ear,
    "offline": _local_ear,
}
MINDS: Mapping[str, Callable[[Shop], Mind | None]] = {
    "realtime": _realtime_mind,
    "assistant": _assistant_mind,
    "library": _library_mind,
}
VOICES: Mapping[str, Callable[[Shop], Voice | None]] = {
    "openai": _openai_voice,
    "offline": _local_voice,
}

P = TypeVar("P")


@dataclass(frozen=True, slots=True)
class Pipes:
    """A session's parts."""

    shop: Shop
    chain: Chain
    answers: Answers
    rhythm: Rhythm
    fillers: Fillers
    speech: Speech
    quick: Speech
    """Voices that begin at once, for what must not wait."""

    async def apply(self, instructions: str | None, wanted: VoiceSettings | None) -> None:
        """New instructions and voice settings, from the next reply on."""
        before = self.shop.wanted.voice_id
        await self.shop.change(instructions, wanted)
        if self.shop.wanted.voice_id != before:
            voices = _voices(self.shop)
            await self.speech.use(voices)
            await self.quick.use(tuple(reversed(voices)))
            await self.render_fillers()

    async def render_fillers(self) -> None:
        """Has the fillers at hand, in the voice that the session speaks with."""
        voice = (RECIPES[self.shop.plan.pipeline].voices, self.shop.wanted.voice_id)
        await self.fillers.render(voice, self.speech)

    async def aclose(self) -> None:
        """Closes every part."""
        await self.chain.aclose()
        await self.answers.aclose()
        await self.speech.aclose()


def assemble(shop: Shop, fillers: Sequence[str]) -> Pipes:
    """Makes the parts of the plan's pipeline; one that is not configured is left out."""
    recipe = RECIPES[shop.plan.pipeline]
    voices, rhythm = _voices(shop), Rhythm()
    quick = Speech(tuple(reversed(voices)), sample_rate=SAMPLE_RATE)
    kept = Fillers(fillers, quick, shop.resources.shelf)
    return Pipes(
        shop=shop,
        chain=Chain(_made(EARS, _led(recipe.ears, shop.settings.stt_provider), shop)),
        answers=Answers(_made(MINDS, recipe.minds, shop), kept, rhythm),
        rhythm=rhythm,
        fillers=kept,
        speech=Speech(voices, sample_rate=SAMPLE_RATE, silent_for=rhythm.silent_for),
        quick=quick,
    )


def tuned(assistant: Assistant, wanted: VoiceSettings) -> Assistant:
    """The assistant with a session's temperature and longest answer."""
    if wanted.temperature is None and wanted.max_output_tokens is None:
        return assistant
    models = tuple(
        model.tuned(temperature=wanted.temperature, max_tokens=wanted.max_output_tokens)
        for model in assistant.models
    )
    return replace(assistant, models=models)


def _voices(shop: Shop) -> tuple[Voice, ...]:
    names = _led(RECIPES[shop.plan.pipeline].voices, shop.settings.tts_provider)
    return _made(VOICES, names, shop)


def _led(names: tuple[str, ...], first: str | None) -> tuple[str, ...]:
    """The names, led by the configured one where the recipe has it behind a peer of its kind."""
    if first is None or first not in names or names[0] == "realtime":
        return names
    return (first, *(name for name in names if name != first))


def _made(
    makers: Mapping[str, Callable[[Shop], P | None]], names: Sequence[str], shop: Shop
) -> tuple[P, ...]:
    made = (makers[name](shop) for name in names)
    return tuple(part for part in made if part is not None)
