"""`/api/v1/voice/session…` and the short forms for simple clients."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query, Request
from pydantic import AfterValidator
from starlette.responses import Response

from contracts.voice import Channel
from kit import idempotency, paging
from kit.errors import DomainError, Kind
from voice_service.context import Context, Ctx
from voice_service.doors import Locale, Speaker, public_socket
from voice_service.rooms import joining
from voice_service.sessions import actions, store
from voice_service.sessions.models import (
    ChangeConfig,
    CreatedSession,
    CreateSession,
    RoomToken,
    Row,
    Session,
    SessionStatus,
)

router = APIRouter(tags=["voice"])


class NoMediaServer(DomainError):
    """There is no media server here; the sockets serve."""

    kind = Kind.UNAVAILABLE
    code = "voice.no_media_server"


@router.post("/session", status_code=201)
@router.post("/api/v1/voice/session", status_code=201)
async def create(
    person: Speaker,
    ctx: Ctx,
    request: Request,
    locale: Locale,
    wanted: CreateSession | None = None,
    key: idempotency.Key = None,
) -> CreatedSession:
    """Creates a voice session, and its conversation unless one is named."""
    channel: Channel = "voice" if ctx.media is not None else "websocket"
    row = await actions.create(
        ctx.sessions, person, wanted or CreateSession(), channel=channel, key=key, locale=locale
    )
    token = None
    if ctx.media is not None and not row.over:
        identity = joining.own_identity(row)
        token = joining.token(ctx.media, row, identity, ctx.sessions.rules, now=ctx.ground.clock())
    shown = show(ctx, request, row)
    return CreatedSession(**shown.model_dump(), token=token, expires_at=row.expires_at)


@router.get("/api/v1/voice/sessions")
async def list_own(
    person: Speaker,
    ctx: Ctx,
    request: Request,
    limit: paging.Limit = 20,
    cursor: paging.Cursor = None,
) -> paging.Page[Session]:
    """The caller's sessions, newest first."""
    after = paging.decode_time(cursor)
    async with ctx.db.transaction(person) as tx:
        found = await store.list_page(tx, person, after, limit + 1)
    last = found[limit - 1] if len(found) > limit else None
    following = paging.encode(last.created_at.isoformat(), last.id) if last else None
    items = [show(ctx, request, row) for row in found[:limit]]
    return paging.Page(items=items, next_cursor=following)


@router.get("/api/v1/voice/session/{session_id}")
async def get(session_id: UUID, person: Speaker, ctx: Ctx, request: Request) -> Session:
    """One session."""
    async with ctx.db.transaction(person) as tx:
        return show(ctx, request, await actions.require(tx, session_id))


@router.get("/api/v1/voice/session/{session_id}/status")
async def status(session_id: UUID, person: Speaker, ctx: Ctx) -> SessionStatus:
    """How a session is now."""
    async with ctx.db.transaction(person) as tx:
        row = await actions.require(tx, session_id)
        return SessionStatus(
            status=row.status,
            agent_state=row.agent_state,
            participants=row.participants,
            duration_s=await store.duration(tx, session_id),
            turns=row.last_seq,
            latency=await store.latency(tx, session_id),
        )


@router.put("/api/v1/voice/session/{session_id}/config")
async def configure(
    session_id: UUID, change: ChangeConfig, person: Speaker, ctx: Ctx, request: Request
) -> Session:
    """Changes instructions or voice; a running agent follows."""
    row = await actions.configure(ctx.db, person, session_id, change)
    ctx.signals.nudge(store.changed(session_id))
    return show(ctx, request, row)


@router.delete("/session/{session_id}", status_code=204, response_class=Response)
@router.delete("/api/v1/voice/session/{session_id}", status_code=204, response_class=Response)
async def delete(session_id: UUID, person: Speaker, ctx: Ctx) -> None:
    """Ends a session and its room; its row stays."""
    await actions.end_own(ctx.db, person, session_id)
    ctx.signals.nudge(store.changed(session_id))


Room = Annotated[str, Query(min_length=1, max_length=100, pattern=r"^[A-Za-z0-9._-]+$")]


def _not_an_agent(identity: str) -> str:
    if identity.startswith("agent-"):
        raise ValueError("must not begin as agents' names do")
    return identity


Identity = Annotated[
    str,
    Query(min_length=1, max_length=100, pattern=r"^[A-Za-z0-9._@+-]+$"),
    AfterValidator(_not_an_agent),
]


@router.get("/token")
async def token(
    room: Room, identity: Identity, person: Speaker, ctx: Ctx, locale: Locale
) -> RoomToken:
    """A token for the room of one of the caller's sessions; another name makes a session."""
    if ctx.media is None:
        raise NoMediaServer
    row = await joining.session_of_room(ctx.sessions, person, room, locale)
    made = joining.token(ctx.media, row, identity, ctx.sessions.rules, now=ctx.ground.clock())
    return RoomToken(token=made, url=ctx.media.url)


def show(ctx: Context, request: Request, row: Row) -> Session:
    """A session as its owner sees it."""
    media = ctx.media if row.room_name is not None else None
    return Session(
        **row.model_dump(include=set(Session.model_fields)),
        session_id=row.id,
        livekit_url=media.url if media is not None else None,
        websocket_url=public_socket(request, f"/api/v1/voice/session/{row.id}/ws"),
    )
