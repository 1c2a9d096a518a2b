"""The services of one machine: how each is built, where it listens, what it is told."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import SecretStr
from starlette.types import ASGIApp

import api_gateway.main
import api_gateway.settings
import auth_service.main
import auth_service.settings
import conversation_service.main
import conversation_service.settings
from kit import settings


@dataclass(frozen=True, slots=True)
class Service:
    """`after` is how far its port lies behind the gateway's."""

    name: str
    folder: str
    after: int
    settings: type[settings.Settings]
    build: Callable[[Any], ASGIApp]


GATEWAY = Service(
    "gateway", "api-gateway", 0, api_gateway.settings.Settings, api_gateway.main.Gateway
)
AUTH = Service("auth", "auth-service", 1, auth_service.settings.Settings, auth_service.main.build)
CONVERSATION = Service(
    "conversation",
    "conversation-service",
    2,
    conversation_service.settings.Settings,
    conversation_service.main.build,
)
IN_ORDER = (AUTH, CONVERSATION, GATEWAY)
"""As they start; they stop the other way round, the public door first."""


def together(
    given: settings.Settings, *, database_url: str, secret: str, port: int, log_file: Path
) -> settings.Settings:
    """The settings of one service, told of the others that run beside it."""
    return given.model_copy(
        update={
            "database_url": SecretStr(database_url),
            "service_token_secret": SecretStr(secret),
            "auth_service_url": f"http://127.0.0.1:{port + AUTH.after}",
            "conversation_service_url": f"http://127.0.0.1:{port + CONVERSATION.after}",
            "log_file": log_file,
        }
    )
