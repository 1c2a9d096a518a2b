"""Sending a message, and reading, resuming and stopping the reply to it."""

import uuid
from typing import Annotated

from fastapi import APIRouter, Header, Query
from starlette.responses import JSONResponse, Response

from conversation_service import sse
from conversation_service.context import Context, Ctx
from conversation_service.conversations.models import ConversationId
from conversation_service.replies import actions, store, stream
from conversation_service.replies.models import Begun, Exchange, SendMessage
from conversation_service.voice import actions as voice
from kit import idempotency
from kit.errors import NotFound
from kit.identity import Actor
from serving import bounds
from tokens.doors import Person

router = APIRouter(prefix="/api/v1/conversations/{conversation_id}/messages", tags=["messages"])

STREAM = {"content": {sse.MEDIA_TYPE: {}}, "description": "The reply as a stream of events."}

Accept = Annotated[str, Header(max_length=500)]
AcceptLanguage = Annotated[str, Header(max_length=500)]


@router.post("", status_code=201, response_model=Exchange, responses={200: STREAM})
async def send(
    conversation_id: uuid.UUID,
    wanted: SendMessage,
    person: Person,
    ctx: Ctx,
    key: idempotency.Key = None,
    accept: Accept = "*/*",
    accept_language: AcceptLanguage = "",
) -> Response:
    """Stores a message and answers it: as a stream if that is accepted, else when it is whole."""
    bounds.will_last()
    await voice.catch_up(ctx.db, ctx.voice, person, conversation_id)
    begun = await actions.begin(
        ctx.db,
        person,
        ConversationId(conversation_id),
        wanted.content,
        key=key,
        locale=_first_locale(accept_language),
        lease=ctx.runner.lease,
        budget=ctx.budget,
    )
    return await _answer(ctx, person, conversation_id, begun, accept)


@router.post(
    "/{message_id}/regenerate", status_code=201, response_model=Exchange, responses={200: STREAM}
)
async def regenerate(
    conversation_id: uuid.UUID,
    message_id: uuid.UUID,
    person: Person,
    ctx: Ctx,
    key: idempotency.Key = None,
    accept: Accept = "*/*",
    accept_language: AcceptLanguage = "",
) -> Response:
    """Answers the newest message again; the older reply stays and is named by the new one."""
    bounds.will_last()
    begun = await actions.regenerate(
        ctx.db,
        person,
        ConversationId(conversation_id),
        message_id,
        key=key,
        locale=_first_locale(accept_language),
        lease=ctx.runner.lease,
        budget=ctx.budget,
    )
    return await _answer(ctx, person, conversation_id, begun, accept)


@router.get("/{message_id}/stream", response_class=Response, responses={200: STREAM})
async def resume(
    conversation_id: uuid.UUID,
    message_id: uuid.UUID,
    person: Person,
    ctx: Ctx,
    after: Annotated[int, Query(ge=0, le=1_000_000)] = 0,
) -> Response:
    """A running or finished reply from character `after` on."""
    return await _streamed(ctx, person, conversation_id, message_id, after=after)


@router.post("/{message_id}/stop", status_code=202, response_class=Response)
async def stop(
    conversation_id: uuid.UUID, message_id: uuid.UUID, person: Person, ctx: Ctx
) -> Response:
    """Ends a running reply with what it has said; nothing happens to one that has ended."""
    async with ctx.db.transaction(person) as tx:
        if await store.snapshot(tx, conversation_id, message_id) is None:
            raise NotFound
        await store.request_stop(tx, conversation_id, message_id)
    return Response(status_code=202)


async def _answer(
    ctx: Context, person: Actor, conversation_id: uuid.UUID, begun: Begun | uuid.UUID, accept: str
) -> Response:
    """The reply as a stream if that is accepted, else when it is whole."""
    if isinstance(begun, uuid.UUID):
        message_id = begun
    else:
        message_id = begun.message_id
        ctx.runner.start(begun)
    if sse.MEDIA_TYPE in accept:
        return await _streamed(ctx, person, conversation_id, message_id)
    bounds.lasts()
    question, reply = await stream.whole(ctx, person, conversation_id, message_id)
    exchange = Exchange(user_message=question, assistant_message=reply)
    return JSONResponse(exchange.model_dump(mode="json"), status_code=201)


async def _streamed(
    ctx: Context, person: Actor, conversation_id: uuid.UUID, message_id: uuid.UUID, after: int = 0
) -> Response:
    events = await stream.open_stream(ctx, person, conversation_id, message_id, after=after)
    return sse.response(events)


def _first_locale(accept_language: str) -> str:
    """The language asked for first, as in `de-CH,de;q=0.9`; British English without one."""
    first = accept_language.partition(",")[0].partition(";")[0].strip()
    return first if first and first != "*" else "en-GB"
