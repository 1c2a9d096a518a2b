"""The auth service: who you are."""

from auth_service.accounts import routes as accounts
from auth_service.context import open_context
from auth_service.profiles import routes as profiles
from auth_service.sessions import routes as sessions
from auth_service.settings import Settings
from kit.app import build_app

ROUTERS = (accounts.router, profiles.router, sessions.router)

app = build_app("auth", Settings, open_context, *ROUTERS)
