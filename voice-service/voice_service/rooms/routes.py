"""What the media server tells: `POST /api/v1/voice/livekit`, signed with our key there."""

from fastapi import APIRouter, Request
from starlette.responses import Response

from kit.errors import InvalidToken
from tokens import doors
from voice_service.context import Ctx
from voice_service.rooms import hearing

router = APIRouter(tags=["voice"])


@router.post(
    "/api/v1/voice/livekit",
    status_code=204,
    response_class=Response,
    openapi_extra=doors.PUBLIC,
)
async def webhook(request: Request, ctx: Ctx) -> None:
    """An event of the media server; its signature lets it in."""
    if ctx.media is None:
        raise InvalidToken
    try:
        event = ctx.media.heard(await request.body(), request.headers.get("authorization", ""))
    except ValueError:
        raise InvalidToken from None
    await hearing.hear(ctx.db, ctx.media, event)
