"""The auth service: `uvicorn auth_service.main:app --port 8001`."""

from fastapi import FastAPI

from auth_service.accounts import routes as accounts
from auth_service.administration import routes as administration
from auth_service.audit import routes as audit
from auth_service.consents import routes as consents
from auth_service.context import open_context
from auth_service.erasure import routes as erasure
from auth_service.export import routes as export
from auth_service.guests import routes as guests
from auth_service.profiles import routes as profiles
from auth_service.sessions import routes as sessions
from auth_service.settings import Settings
from serving.app import build_app

ROUTERS = (
    administration.router,
    audit.router,
    accounts.router,
    guests.router,
    profiles.router,
    sessions.router,
    consents.router,
    export.router,
    erasure.router,
)


def build(settings: Settings | None = None) -> FastAPI:
    """The application; without settings it reads the environment when it starts."""
    return build_app("auth", Settings, open_context, *ROUTERS, given=settings)


app = build()
