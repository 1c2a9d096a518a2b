"""The conversation service: `uvicorn conversation_service.main:app --port 8002`."""

from fastapi import FastAPI

from conversation_service.context import NAME, open_context
from conversation_service.conversations import routes as conversations
from conversation_service.feed import routes as feed
from conversation_service.feedback import routes as feedback
from conversation_service.handoff import routes as handoff
from conversation_service.library import routes as library
from conversation_service.messages import routes as messages
from conversation_service.privacy import people
from conversation_service.replies import routes as replies
from conversation_service.settings import Settings
from conversation_service.summaries import routes as summaries
from conversation_service.usage import routes as usage
from conversation_service.voice import routes as voice
from serving.app import build_app


def build(settings: Settings | None = None) -> FastAPI:
    """The application; without settings it reads the environment when it starts."""
    return build_app(
        NAME,
        Settings,
        open_context,
        conversations.router,
        messages.router,
        replies.router,
        feedback.router,
        summaries.router,
        handoff.router,
        feed.router,
        library.router,
        people.router,
        voice.router,
        usage.router,
        given=settings,
    )


app = build()
