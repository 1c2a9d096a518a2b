"""The voice service: `uvicorn voice_service.main:app --port 8003`."""

from fastapi import FastAPI

from serving.app import build_app
from voice_service import people
from voice_service.context import NAME, open_context
from voice_service.rooms import routes as rooms
from voice_service.sessions import routes as sessions
from voice_service.settings import Settings
from voice_service.sockets import routes as sockets
from voice_service.turns import routes as turns
from voice_service.turns import sockets as transcripts


def build(settings: Settings | None = None) -> FastAPI:
    """The application; without settings it reads the environment when it starts."""
    return build_app(
        NAME,
        Settings,
        open_context,
        sessions.router,
        rooms.router,
        turns.router,
        transcripts.router,
        sockets.router,
        people.router,
        given=settings,
    )


app = build()
