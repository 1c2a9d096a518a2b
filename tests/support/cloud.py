"""OpenAI on the loopback for a whole installation: chat, transcription and speech."""

from dataclasses import dataclass, field

from model_server import ModelServer, Say, Step
from speech_server import SpeechServer
from starlette.applications import Starlette

ANSWERS = 5_000


def answer(number: int) -> str:
    """One that is given once."""
    return f"That was answer number {number}, and it is as short as it can be."


def _scripts() -> list[list[Step]]:
    return [[Say(answer(number))] for number in range(1, ANSWERS)]


@dataclass
class Cloud:
    """Each answer is another one; each spoken word is a tone."""

    model: ModelServer = field(default_factory=lambda: ModelServer(_scripts()))
    speech: SpeechServer = field(default_factory=SpeechServer)

    def app(self) -> Starlette:
        return Starlette(routes=[*self.model.app().routes, *self.speech.routes()])

    def told_with(self, words: str) -> str:
        """All that the model was given with the last question that has these words."""
        for request in reversed(self.model.requests):
            if words in str(request["messages"][-1]["content"]):
                return str(request["messages"])
        raise AssertionError(f"nobody asked: {words}")
