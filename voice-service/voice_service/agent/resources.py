"""What a process opens once for all its sessions: models in memory and pools of connections."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any, Protocol

import aiohttp
import anyio.to_thread
import openai
from livekit.agents import inference, stt, tts

from assistant import extractive, reply, safety
from assistant.knowledge import index
from assistant.knowledge.search import Library
from assistant.reply import Assistant, Composer
from voice_service.agent import quiet
from voice_service.agent.detecting import Thresholds, Windows
from voice_service.agent.rhythm import Shelf
from voice_service.agent.settings import Speaking


class LocalVoice(Protocol):
    """Recognition and speech without any provider."""

    @property
    def ready(self) -> bool:
        """Whether recognition can begin; speech can at once."""

    def stt(self) -> stt.STT[Any]: ...

    def tts(self, voice: str | None = None) -> tts.TTS[Any]: ...


@dataclass(frozen=True, slots=True)
class Resources:
    """Open for as long as the process lives. Sessions make their own providers from it."""

    settings: Speaking
    assistant: Assistant
    thresholds: Thresholds
    http: openai.DefaultAsyncHttpxClient
    sockets: aiohttp.ClientSession
    local: LocalVoice | None
    shelf: Shelf


def prewarm() -> None:
    """Loads what takes long, so that a process is warm before its first session."""
    Windows(Thresholds(0, 0, 0))
    inference.TurnDetector(version="v1-mini")
    safety.open_gate()


@dataclass(frozen=True, slots=True)
class Loaded:
    """What needs no event loop."""

    library: Library
    composer: Composer


def load(settings: Speaking) -> Loaded:
    """The library by its memory-mapped index, which is built when it is missing or stale."""
    library = index.open_or_build(settings.library_dir, settings.data_dir / "index")
    safety.open_gate()
    return Loaded(library, extractive.open_composer(library))


@asynccontextmanager
async def open_resources(
    settings: Speaking, local: LocalVoice | None = None, loaded: Loaded | None = None
) -> AsyncIterator[Resources]:
    """Opens the library, unless it is `loaded`, and the pools; `local` is offline voice."""
    quiet.keep_quiet()
    if loaded is None:
        loaded = await anyio.to_thread.run_sync(load, settings)
    async with AsyncExitStack() as stack:
        models = await stack.enter_async_context(
            reply.open_models(settings.models(), first_token=settings.voice_first_token_seconds)
        )
        http = await stack.enter_async_context(
            openai.DefaultAsyncHttpxClient(timeout=openai.Timeout(30, connect=2))
        )
        sockets = await stack.enter_async_context(aiohttp.ClientSession())
        yield Resources(
            settings=settings,
            assistant=Assistant(
                loaded.library, loaded.composer, models, settings.system_prompt, spoken=True
            ),
            thresholds=Thresholds(
                min_speech=settings.vad_min_speech_duration,
                min_silence=settings.vad_min_silence_duration,
                padding=settings.vad_padding_duration,
            ),
            http=http,
            sockets=sockets,
            local=local,
            shelf=Shelf(),
        )


def instructed(assistant: Assistant, instructions: str | None) -> Assistant:
    """The assistant with a session's own instructions below the operator's."""
    parts = [part for part in (assistant.operator_prompt, instructions) if part]
    return replace(assistant, operator_prompt="\n\n".join(parts) or None)
