"""OpenAI on the loopback, and what a process of sessions holds against it."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from model_server import ModelServer, Say
from realtime_server import RealtimeServer
from speech_server import SpeechServer
from starlette.applications import Starlette

from voice_service.agent.resources import Resources


@dataclass
class Cloud:
    """OpenAI on the loopback."""

    realtime: RealtimeServer = field(default_factory=RealtimeServer)
    speech: SpeechServer = field(default_factory=SpeechServer)
    model: ModelServer = field(
        default_factory=lambda: ModelServer([[Say("Rest and drink plenty of water. ")]])
    )

    def app(self) -> Starlette:
        return Starlette(
            routes=[
                *self.realtime.app().routes,
                *self.speech.routes(),
                *self.model.app().routes,
            ]
        )


Open = Callable[..., Awaitable[Resources]]
