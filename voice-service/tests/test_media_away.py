"""A media server that gives no answer: nobody waits for it again and again."""

import asyncio
import time
import uuid
from collections.abc import AsyncIterator

import pytest
from livekit import api
from pydantic import SecretStr
from room_sessions import NOBODY_CAME, room_session
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from kit.circuit import Circuit
from kit.database import Database
from kit.identity import Actor
from kit.testing import Watch, serve
from kit.testing.ports import free_port
from voice_service.rooms.media import ASK_WITHIN, FAILURES, PAUSE, SILENT, Media, open_media
from voice_service.sessions.reaper import Limits, Reaper
from voice_service.settings import Settings

ITSELF = Actor.of_service("voice")
KEY, SECRET = "medbot", "s" * 40
CALLERS = 4
LIMITS = Limits(lost=8.0, agent=30.0)


class Server:
    """The media server's API: hangs, or refuses what it is asked."""

    def __init__(self) -> None:
        self.asked = 0
        self.answers = asyncio.Event()
        self.answers.set()

    async def answer(self, request: Request) -> Response:
        self.asked += 1
        await self.answers.wait()
        return JSONResponse({"code": "not_found", "msg": "no such room"}, status_code=404)

    def app(self) -> Starlette:
        routes = [Route("/twirp/{service}/{method}", self.answer, methods=["POST"])]
        return Starlette(routes=routes)


@pytest.fixture
def server() -> Server:
    return Server()


@pytest.fixture
async def media(server: Server) -> AsyncIterator[Media]:
    """What the voice service has of it."""
    async with serve(server.app()) as served:
        secret = SecretStr(SECRET)
        settings = Settings(livekit_url=served.url, livekit_api_key=KEY, livekit_api_secret=secret)
        async with open_media(settings) as opened:
            assert opened is not None
            yield opened
            server.answers.set()


@pytest.fixture
async def waiting(database: Database, person: Actor) -> None:
    """Callers in rooms to whom no agent came."""
    for _ in range(CALLERS):
        await room_session(database, person, NOBODY_CAME)


async def test_a_round_of_the_reaper_waits_for_it_once(
    database: Database, waiting: None, server: Server, media: Media
) -> None:
    server.answers.clear()
    begun = time.monotonic()
    await Reaper(database, media, LIMITS).sweep()
    assert time.monotonic() - begun < ASK_WITHIN + 3
    assert server.asked == 1


async def test_what_it_refuses_for_one_caller_holds_no_other_up(
    database: Database, waiting: None, server: Server, media: Media
) -> None:
    await Reaper(database, media, LIMITS).sweep()
    assert server.asked == CALLERS


async def test_it_is_left_alone_until_it_answers_again(server: Server) -> None:
    watch, port = Watch(), free_port()
    circuit = Circuit("livekit", failures=FAILURES, pause=PAUSE, clock=watch)
    url = f"http://127.0.0.1:{port}"
    async with api.LiveKitAPI(url, KEY, SECRET, failover=False) as client:
        media = Media(url, KEY, SECRET, client, circuit)
        for _ in range(FAILURES):
            with pytest.raises(SILENT):
                await media.ping()
        async with serve(server.app(), port=port):
            asked = (media.ping(), media.close_room("x"), media.made_again("x", "y"),
                     media.send_agent(uuid.uuid4(), "x"))  # fmt: skip
            for ask in asked:
                with pytest.raises(SILENT):
                    await ask
            assert server.asked == 0
            watch.now += PAUSE
            await media.close_room("x")
            with pytest.raises(api.ServerError):
                await media.ping()
    assert server.asked == 2
