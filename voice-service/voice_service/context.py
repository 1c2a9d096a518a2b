"""The composition root: everything that the slices need, opened once."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Annotated

from fastapi import Depends
from fastapi.requests import HTTPConnection

from kit import background
from kit.backbone import open_backbone
from kit.database import Database, utc_now
from kit.signals import Signals
from serving.app import Ground
from tokens.verification import open_verifier
from voice_service import worker
from voice_service.conversations import open_conversations
from voice_service.rooms.media import Media, open_media
from voice_service.sessions import counting, pipelines
from voice_service.sessions.actions import Rules, Sessions
from voice_service.settings import Settings
from voice_service.sockets.held import Calls
from voice_service.sockets.reception import Reception, open_desk

NAME = "voice"


@dataclass(frozen=True, slots=True)
class Context:
    """Open for as long as the service lives."""

    ground: Ground
    settings: Settings
    db: Database
    signals: Signals
    media: Media | None
    sessions: Sessions
    desk: Reception
    calls: Calls


@asynccontextmanager
async def open_context(settings: Settings) -> AsyncIterator[Context]:
    """Opens the database, the neighbours and the background work, in this order."""
    async with AsyncExitStack() as stack:
        backbone = await stack.enter_async_context(open_backbone(settings, service=NAME))
        verifier = await stack.enter_async_context(
            open_verifier(settings, service=NAME, clock=utc_now)
        )
        conversations = await stack.enter_async_context(
            open_conversations(
                settings.conversation_service_url, settings.service_secret(), utc_now
            )
        )
        media = await stack.enter_async_context(open_media(settings))
        budget = settings.budget(utc_now)
        sessions = Sessions(backbone.db, conversations, rules(settings), budget)
        desk = await stack.enter_async_context(open_desk(settings, backbone, sessions, verifier))
        tasks = worker.tasks(backbone, settings, media)
        await stack.enter_async_context(background.running(**tasks))
        spare = backbone.spare()
        if media is not None:  # without it the sockets serve
            spare["media server"] = media.ping
        counting.look_at(backbone.db)
        yield Context(
            ground=Ground(
                verifier=verifier,
                service_secret=settings.service_secret(),
                clock=utc_now,
                checks={**backbone.checks(), "keys": verifier.ping},
                spare=spare,
            ),
            settings=settings,
            db=backbone.db,
            signals=backbone.signals,
            media=media,
            sessions=sessions,
            desk=desk,
            calls=Calls(desk, grace=settings.voice_reconnect_seconds),
        )


def rules(settings: Settings) -> Rules:
    """What the settings ask of sessions."""
    return Rules(
        pipelines=pipelines.configured(settings),
        per_person=settings.voice_sessions_per_person,
        longest=timedelta(seconds=settings.voice_max_seconds),
        join_within=timedelta(seconds=settings.voice_join_seconds),
        media=settings.livekit_url is not None,
    )


def _context(connection: HTTPConnection) -> Context:
    context: Context = connection.app.state.context
    return context


Ctx = Annotated[Context, Depends(_context)]
