"""The auth service: `uvicorn auth_service.main:app --port 8001`."""

from fastapi import FastAPI

from auth_service.accounts import routes as accounts
from auth_service.context import open_context
from auth_service.profiles import routes as profiles
from auth_service.sessions import routes as sessions
from auth_service.settings import Settings
from kit.app import build_app

ROUTERS = (accounts.router, profiles.router, sessions.router)


def build(settings: Settings | None = None) -> FastAPI:
    """The application; without settings it reads the environment when it starts."""
    return build_app("auth", Settings, open_context, *ROUTERS, given=settings)


app = build()
