"""What the doctor says of a speech server that is not OpenAI's."""

from typing import Any

import pytest
from pydantic import SecretStr
from speech_server import SpeechServer
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from kit.testing import serve
from kit.testing.ports import free_port
from medbot.doctor import voice
from medbot.doctor.findings import Finding, Mark
from voice_service.settings import Settings


async def found(*, probe: bool = True, key: str | None = "sk-test", **given: Any) -> Finding | None:
    """What is said of the speech server."""
    secret = None if key is None else SecretStr(key)
    settings = Settings(openai_api_key=secret, **given)
    said = [each async for each in voice.examine(settings, probe=probe)]
    return next((each for each in said if each.name == "speech server"), None)


async def test_nothing_is_said_where_there_is_none() -> None:
    assert await found() is None


@pytest.mark.parametrize(
    ("path", "key", "mark", "said"),
    [
        ("/v1", "sk-test", Mark.GOOD, "answers"),
        ("/v1", "sk-wrong", Mark.BAD, "refuses the key"),
        ("", "sk-test", Mark.BAD, "there is no /audio/speech below"),
    ],
)
async def test_a_probe_asks_the_speech_server(path: str, key: str, mark: Mark, said: str) -> None:
    server = SpeechServer()
    async with serve(server.app()) as served:
        finding = await found(key=key, speech_base_url=f"{served.url}{path}")
    assert finding is not None
    assert finding.mark is mark
    assert said in finding.said
    assert key not in finding.said
    assert server.said == []


async def test_a_server_that_only_hears_is_asked_for_that() -> None:
    async def transcribe(_: Request) -> Response:
        return Response(status_code=422)

    hears = Starlette(routes=[Route("/v1/audio/transcriptions", transcribe, methods=["POST"])])
    async with serve(hears) as served:
        finding = await found(speech_base_url=f"{served.url}/v1", tts_provider="offline")
    assert finding is not None
    assert finding.mark is Mark.GOOD


async def test_a_speech_server_that_is_away() -> None:
    address = f"http://127.0.0.1:{free_port()}/v1"
    finding = await found(speech_base_url=address)
    assert finding is not None
    assert finding.mark is Mark.BAD
    assert finding.remedy == "check SPEECH_BASE_URL"
    unasked = await found(speech_base_url=address, probe=False)
    assert unasked is not None
    assert (unasked.mark, unasked.said) == (Mark.GOOD, f"{address}, not asked")


async def test_a_speech_server_that_is_out_of_order() -> None:
    async def fail(_: Request) -> Response:
        return Response(status_code=503)

    broken = Starlette(routes=[Route("/v1/audio/speech", fail, methods=["POST"])])
    async with serve(broken) as served:
        finding = await found(speech_base_url=f"{served.url}/v1")
    assert finding is not None
    assert finding.mark is Mark.BAD
    assert "answers 503" in finding.said


async def test_a_key_that_no_header_holds() -> None:
    finding = await found(key="sk-naïve", speech_base_url="http://127.0.0.1:9/v1")
    assert finding is not None
    assert (finding.mark, finding.said) == (Mark.BAD, "OPENAI_API_KEY cannot be sent")


async def test_without_a_key_nothing_asks_it() -> None:
    finding = await found(key=None, speech_base_url="http://127.0.0.1:9/v1")
    assert finding is not None
    assert finding.mark is Mark.NOTE
    assert "OPENAI_API_KEY is not set" in finding.said
