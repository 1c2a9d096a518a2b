"""The services of one machine: how each is built, where it listens, what it is told."""

import importlib
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

from pydantic import SecretStr
from starlette.types import ASGIApp

import api_gateway.settings
import auth_service.settings
import conversation_service.settings
import voice_service.settings
from kit import settings


@dataclass(frozen=True, slots=True)
class Service:
    """`after` is how far its port lies behind the gateway's; `maker` is in `package.main`.

    `heavy` is what of its imports takes long, where not all of them may run in a thread.
    """

    name: str
    package: str
    after: int
    reads: type[settings.Settings]
    maker: str = "build"
    heavy: tuple[str, ...] = ()

    @property
    def folder(self) -> str:
        """Where it lies, from the root."""
        return self.package.replace("_", "-")

    def warm(self) -> None:
        """Imports what it is made of, in any thread; together they take some seconds."""
        for name in self.heavy or (f"{self.package}.main",):
            importlib.import_module(name)

    def load(self) -> ModuleType:
        """Its main module."""
        return importlib.import_module(f"{self.package}.main")

    def build(self, given: settings.Settings | None) -> ASGIApp:
        """The application."""
        app: ASGIApp = getattr(self.load(), self.maker)(given)
        return app


GATEWAY = Service("gateway", "api_gateway", 0, api_gateway.settings.Settings, "Gateway")
AUTH = Service("auth", "auth_service", 1, auth_service.settings.Settings)
CONVERSATION = Service(
    "conversation", "conversation_service", 2, conversation_service.settings.Settings
)
VOICE = Service(
    "voice",
    "voice_service",
    3,
    voice_service.settings.Settings,
    heavy=("av", "livekit.agents", "openai"),  # its plugins insist on the main thread
)
IN_ORDER = (AUTH, CONVERSATION, VOICE, GATEWAY)
"""As they start; they stop the other way round, the public door first."""


def together(
    given: settings.Settings, *, database_url: str, secret: str, port: int, log_file: Path
) -> settings.Settings:
    """The settings of one service, told of the others that run beside it.

    Without an address of its own for links, they lead to the gateway's port.
    """
    links = "public_url" in type(given).model_fields.keys() - given.model_fields_set
    return given.model_copy(
        update={
            "database_url": SecretStr(database_url),
            "service_token_secret": SecretStr(secret),
            "auth_service_url": f"http://127.0.0.1:{port + AUTH.after}",
            "conversation_service_url": f"http://127.0.0.1:{port + CONVERSATION.after}",
            "voice_service_url": f"http://127.0.0.1:{port + VOICE.after}",
            "log_file": log_file,
            "metrics_port": None,  # several services cannot share it
            **({"public_url": f"http://localhost:{port}"} if links else {}),
        }
    )
