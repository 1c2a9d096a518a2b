"""The composition root: everything that the slices need, opened once."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import Annotated

import anyio.to_thread
from fastapi import Depends, Request

from assistant import extractive, reply, safety
from assistant.knowledge import index
from assistant.reply import Assistant
from conversation_service import worker
from conversation_service.replies.runner import Runner
from conversation_service.settings import Settings
from conversation_service.usage.budget import Budget
from conversation_service.voice.client import VoiceSessions, open_voice_sessions
from kit import background
from kit.backbone import open_backbone
from kit.database import Database, utc_now
from kit.server import Drain
from kit.signals import Signals
from privacy import retention
from serving.app import Ground
from tokens.verification import open_verifier

NAME = "conversation"


@dataclass(frozen=True, slots=True)
class Context:
    """Open for as long as the service lives."""

    ground: Ground
    db: Database
    signals: Signals
    assistant: Assistant
    runner: Runner
    voice: VoiceSessions
    budget: Budget


@asynccontextmanager
async def open_context(settings: Settings) -> AsyncIterator[Context]:
    """Opens the database, the library, the models and the background work, in this order."""
    async with AsyncExitStack() as stack:
        backbone = await stack.enter_async_context(open_backbone(settings, service=NAME))
        verifier = await stack.enter_async_context(
            open_verifier(settings, service=NAME, clock=utc_now)
        )
        assistant = await stack.enter_async_context(open_assistant(settings))
        budget = settings.budget(utc_now)
        drain = Drain()
        runner = Runner(
            backbone.db,
            backbone.signals,
            assistant,
            budget,
            lease=settings.reply_lease_seconds,
            longest=settings.reply_seconds,
            drain_within=settings.drain_seconds,
        )
        stack.push_async_callback(runner.drain)
        voice = await stack.enter_async_context(
            open_voice_sessions(settings.voice_service_url, settings.service_secret(), utc_now)
        )
        tasks = worker.tasks(
            backbone,
            assistant,
            budget,
            voice,
            lease=settings.reply_lease_seconds,
            guests_kept=timedelta(days=settings.guest_conversations_days),
        )
        tasks["retention"] = partial(
            retention.daily, backbone.db, worker.ITSELF, settings.retained(), utc_now
        )
        tasks["leave"] = partial(_leave, drain, runner)
        await stack.enter_async_context(background.running(**tasks))
        yield Context(
            ground=Ground(
                verifier=verifier,
                service_secret=settings.service_secret(),
                clock=utc_now,
                checks={**backbone.checks(), "keys": verifier.ping},
                spare=backbone.spare(),
                drain=drain,
            ),
            db=backbone.db,
            signals=backbone.signals,
            assistant=assistant,
            runner=runner,
            voice=voice,
            budget=budget,
        )


async def _leave(drain: Drain, runner: Runner) -> None:
    """Gives running replies their time to end from the moment on when nothing new is taken."""
    await drain.closing.wait()
    await runner.drain()


@asynccontextmanager
async def open_assistant(settings: Settings) -> AsyncIterator[Assistant]:
    """Opens the library, whose index is built when it is missing or stale, and the models."""
    library = await anyio.to_thread.run_sync(
        index.open_or_build, settings.library_dir, settings.data_dir / "index"
    )
    composer = await anyio.to_thread.run_sync(extractive.open_composer, library)
    await anyio.to_thread.run_sync(safety.open_gate)
    async with reply.open_models(
        settings.models(), first_token=settings.llm_first_token_seconds
    ) as models:
        yield Assistant(library, composer, models, settings.system_prompt)


def _context(request: Request) -> Context:
    context: Context = request.app.state.context
    return context


Ctx = Annotated[Context, Depends(_context)]
