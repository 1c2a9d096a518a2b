"""Any server by `--url`, or an installation of this one with providers on the loopback."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from installation import Installation, newcomer
from model_server import ModelServer, Say
from speech_server import SpeechServer
from starlette.applications import Starlette

from kit.testing import serve
from kit.testing.ports import free_port
from medbot import conformance
from medbot.conformance import Server

REPLY = " ".join(["Rest, drink plenty of water, and sleep as much as you can."] * 4)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--url", help="the server to look at, such as ws://localhost:8000")
    parser.addoption("--token", help="an access token for it")
    parser.addoption("--wav", type=Path, help="a question that it understands")


@pytest.fixture(scope="session")
def speech_port() -> int:
    """Where the installation looks for its providers."""
    return free_port()


@pytest.fixture
async def server(request: pytest.FixtureRequest, speech_port: int) -> AsyncIterator[Server]:
    """What is looked at."""
    option = request.config.getoption
    speech = conformance.question(option("--wav", default=None))
    if url := option("--url", default=None):
        yield Server(url, option("--token", default=None), speech)
        return
    installation: Installation = request.getfixturevalue("_installation")
    heard = SpeechServer(hears=["What helps against a cold?"] * 50)
    app = Starlette(routes=[*heard.routes(), *ModelServer([[Say(REPLY)]]).app().routes])
    async with serve(app, port=speech_port):
        installation.begin(
            {
                "OPENAI_BASE_URL": f"http://127.0.0.1:{speech_port}/v1",
                "OPENAI_API_KEY": heard.key,
                "VOICE_PIPELINE": "cascade",
                "VOICE_TURN_DETECTION": "vad",
            }
        )
        async with newcomer(installation.url) as person:
            token = str(person.http.headers["authorization"]).removeprefix("Bearer ")
            yield Server(installation.url, token, speech)
