"""WebSockets pass both ways, with their closing codes, and only with a token."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.http11 import Request, Response
from websockets.typing import Subprotocol

from api_gateway.testing import Door, OpenDoor

PATH = "/api/v1/voice/session/1/ws"
BEARER = Subprotocol("bearer")


@dataclass
class Voice:
    """A service of sockets; behaves as `handler` does at that time."""

    port: int = 0
    handler: Callable[[ServerConnection], Awaitable[None]] | None = None
    refuse_with: int = 0
    breaks_off: bool = False
    disagrees: bool = False
    requests: list[Request] = field(default_factory=list)

    async def serve(self, socket: ServerConnection) -> None:
        assert socket.request is not None
        self.requests.append(socket.request)
        if self.handler is not None:
            await self.handler(socket)
            return
        async for message in socket:
            await socket.send(message)

    def judge(self, socket: ServerConnection, _: Request) -> Response | None:
        if self.breaks_off:
            socket.transport.abort()
        return socket.respond(self.refuse_with, "no") if self.refuse_with else None

    def sign(self, _: ServerConnection, __: Request, response: Response) -> None:
        if self.disagrees:
            response.headers["upgrade"] = "another-protocol"


@pytest.fixture
async def voice() -> AsyncIterator[Voice]:
    voice = Voice()
    hooks: Any = {"process_request": voice.judge, "process_response": voice.sign}
    async with serve(voice.serve, "127.0.0.1", 0, **hooks) as server:
        voice.port = server.sockets[0].getsockname()[1]
        yield voice


@pytest.fixture
async def door(open_door: OpenDoor, voice: Voice) -> Door:
    return await open_door(voice_service_url=f"http://127.0.0.1:{voice.port}")


def open_socket(
    door: Door, path: str = PATH, *, token: str | None = None, **options: Any
) -> connect:
    token = door.token if token is None else token
    if token:
        options.setdefault("additional_headers", {"authorization": f"Bearer {token}"})
    return connect(f"ws://127.0.0.1:{door.port}{path}", proxy=None, max_size=None, **options)


async def closing_code(socket: ClientConnection) -> int:
    with pytest.raises(ConnectionClosed):
        async with asyncio.timeout(5):
            while True:
                await socket.recv()
    assert socket.close_code is not None
    return socket.close_code


async def test_messages_pass_both_ways(door: Door) -> None:
    async with open_socket(door) as socket:
        for message in ("héllo", b"\x00\xff", "", b"", "x" * 200_000):
            await socket.send(message)
            assert await socket.recv() == message


async def test_the_service_may_speak_first_and_the_rest_of_the_address_passes(
    door: Door, voice: Voice
) -> None:
    async def greet(socket: ServerConnection) -> None:
        await socket.send("ready")
        await socket.wait_closed()

    voice.handler = greet
    async with open_socket(door, "/ws/voice?conversation_id=a%2Fb&x=") as socket:
        assert await asyncio.wait_for(socket.recv(), 2) == "ready"
    assert voice.requests[0].path == "/ws/voice?conversation_id=a%2Fb&x="


@pytest.mark.parametrize("code", [1000, 1011, 4404, 4429])
async def test_the_code_of_the_service_reaches_the_client(
    door: Door, voice: Voice, code: int
) -> None:
    async def close(socket: ServerConnection) -> None:
        await socket.close(code)

    voice.handler = close
    async with open_socket(door) as socket:
        assert await closing_code(socket) == code


@pytest.mark.parametrize(("code", "seen"), [(1000, 1000), (4000, 4000)])
async def test_the_code_of_the_client_reaches_the_service(
    door: Door, voice: Voice, code: int, seen: int
) -> None:
    ended: asyncio.Future[int | None] = asyncio.get_running_loop().create_future()

    async def listen(socket: ServerConnection) -> None:
        await socket.wait_closed()
        ended.set_result(socket.close_code)

    voice.handler = listen
    async with open_socket(door) as socket:
        await socket.close(code)
    assert await asyncio.wait_for(ended, 5) == seen


async def test_a_client_that_vanishes_ends_the_socket_of_the_service(
    door: Door, voice: Voice
) -> None:
    ended: asyncio.Future[bool] = asyncio.get_running_loop().create_future()

    async def listen(socket: ServerConnection) -> None:
        await socket.wait_closed()
        ended.set_result(socket.close_code is not None)

    voice.handler = listen
    async with open_socket(door) as socket:
        socket.transport.abort()
        assert await asyncio.wait_for(ended, 5)


async def test_a_service_that_vanishes_closes_the_client(door: Door, voice: Voice) -> None:
    async def vanish(socket: ServerConnection) -> None:
        socket.transport.abort()

    voice.handler = vanish
    async with open_socket(door) as socket:
        assert await closing_code(socket) == 1011


async def test_a_message_over_the_limit_closes_the_socket(door: Door) -> None:
    async with open_socket(door) as socket:
        await socket.send("x" * 256 * 1024)
        assert len(await socket.recv()) == 256 * 1024
        await socket.send("é" * 128 * 1024 + "!")
        assert await closing_code(socket) == 1009


@pytest.mark.parametrize("path", [PATH, "/ws/voice", "/ws/transcript/1"])
@pytest.mark.parametrize("token", ["", "not.a.token"])
async def test_without_a_good_token_the_socket_opens_and_closes_with_4401(
    door: Door, voice: Voice, path: str, token: str
) -> None:
    async with open_socket(door, path, token=token) as socket:
        assert await closing_code(socket) == 4401
    assert voice.requests == []


async def test_the_token_may_come_in_the_query(door: Door, voice: Voice) -> None:
    async with open_socket(door, f"{PATH}?a=1&token={door.token}", token="") as socket:
        await socket.send("hi")
        assert await socket.recv() == "hi"
    request = voice.requests[0]
    assert request.path == f"{PATH}?a=1"  # no service's log shall hold a token
    assert request.headers["authorization"] == f"Bearer {door.token}"


async def test_the_token_may_come_as_a_subprotocol(door: Door, voice: Voice) -> None:
    pair = [BEARER, Subprotocol(door.token)]
    async with open_socket(door, token="", subprotocols=pair) as socket:
        assert socket.subprotocol == "bearer"
        await socket.send("hi")
        assert await socket.recv() == "hi"
    request = voice.requests[0]
    assert request.headers["authorization"] == f"Bearer {door.token}"
    assert "sec-websocket-protocol" not in request.headers


async def test_a_bad_subprotocol_token_still_shows_its_code(door: Door) -> None:
    pair = [BEARER, Subprotocol("nonsense")]
    async with open_socket(door, token="", subprotocols=pair) as socket:
        assert await closing_code(socket) == 4401


async def test_two_tokens_that_differ_are_no_token(door: Door, voice: Voice) -> None:
    async with open_socket(door, f"{PATH}?token=other") as socket:
        assert await closing_code(socket) == 4401
    assert voice.requests == []


async def test_guests_speak_only_where_they_may(open_door: OpenDoor, voice: Voice) -> None:
    url = f"http://127.0.0.1:{voice.port}"
    door = await open_door(voice_service_url=url, allow_guest_voice=True)
    async with open_socket(door, "/ws/voice", token="") as socket:
        await socket.send("hi")
        assert await socket.recv() == "hi"
    assert "authorization" not in voice.requests[0].headers
    for path, token in ((PATH, ""), ("/ws/voice", "forged")):
        async with open_socket(door, path, token=token) as socket:
            assert await closing_code(socket) == 4401


@pytest.mark.parametrize(
    ("status", "code"), [(401, 4401), (404, 4404), (429, 4429), (500, 1011), (503, 1013)]
)
async def test_a_refusal_of_the_service_becomes_a_code(
    door: Door, voice: Voice, status: int, code: int
) -> None:
    voice.refuse_with = status
    async with open_socket(door) as socket:
        assert await closing_code(socket) == code


async def test_a_service_that_is_away_closes_with_try_later(
    open_door: OpenDoor, unused_port: int
) -> None:
    for url in (f"http://127.0.0.1:{unused_port}", None):
        door = await open_door(voice_service_url=url)
        async with open_socket(door) as socket:
            assert await closing_code(socket) == 1013


@pytest.mark.parametrize(
    ("refuse_with", "disagrees", "code"),
    [(0, False, None), (404, False, 4404), (0, True, 1011)],
    ids=["it opens", "it refuses", "it disagrees"],
)
async def test_a_socket_that_is_answered_says_that_the_service_is_there(
    open_door: OpenDoor, voice: Voice, refuse_with: int, disagrees: bool, code: int | None
) -> None:
    url = f"http://127.0.0.1:{voice.port}"
    door = await open_door(voice_service_url=url, breaker_failures=2, breaker_pause=60)
    voice.refuse_with, voice.disagrees = refuse_with, disagrees
    for _ in range(3):
        voice.breaks_off = True
        async with open_socket(door) as socket:
            assert await closing_code(socket) == 1013
        voice.breaks_off = False
        async with open_socket(door) as socket:
            if code is None:
                await socket.send("hi")
                assert await socket.recv() == "hi"
            else:
                assert await closing_code(socket) == code


async def test_a_broken_way_to_the_sockets_opens_the_circuit(
    open_door: OpenDoor, voice: Voice
) -> None:
    url = f"http://127.0.0.1:{voice.port}"
    door = await open_door(voice_service_url=url, breaker_failures=2, breaker_pause=60)
    voice.refuse_with = 502
    for _ in range(2):
        async with open_socket(door) as socket:
            assert await closing_code(socket) == 1011
    voice.refuse_with = 0
    async with open_socket(door) as socket:
        assert await closing_code(socket) == 1013
    assert voice.requests == []


@pytest.mark.parametrize(
    "path", ["/internal/ws", "/api/v1/conversations", "/nothing", "/api/v1/voice/..%2finternal"]
)
async def test_no_socket_opens_where_there_is_none(door: Door, voice: Voice, path: str) -> None:
    with pytest.raises(InvalidStatus) as refused:
        async with open_socket(door, path):
            pass
    answer = refused.value.response
    assert answer.status_code in (400, 404)
    assert json.loads(answer.body or b"")["request_id"] == answer.headers["x-request-id"]
    assert voice.requests == []


async def test_no_header_of_a_socket_claims_an_identity(door: Door, voice: Voice) -> None:
    sent = {
        "authorization": f"Bearer {door.token}",
        "x-user-id": str(uuid4()),
        "x-forwarded-user": "alice",
        "x-request-id": "a-sane-request-id",
    }
    async with open_socket(door, additional_headers=sent) as socket:
        assert socket.response is not None
        assert socket.response.headers["x-request-id"] == "a-sane-request-id"
    asked = voice.requests[0].headers
    assert asked["x-request-id"] == "a-sane-request-id"
    assert asked["x-forwarded-for"] == "127.0.0.1"
    assert {"x-user-id", "x-forwarded-user"}.isdisjoint(asked)


async def test_a_slow_client_makes_the_service_wait(door: Door, voice: Voice) -> None:
    said = 0

    async def pour(socket: ServerConnection) -> None:
        nonlocal said
        for _ in range(1000):
            await socket.send(b"x" * 65536)
            said += 1

    voice.handler = pour
    async with open_socket(door, max_queue=1, compression=None) as socket:
        await asyncio.sleep(0.7)
        assert said < 800
        for _ in range(1000):
            assert len(await socket.recv()) == 65536


async def test_a_client_that_does_not_read_is_hung_up_on(open_door: OpenDoor, voice: Voice) -> None:
    ended = asyncio.Event()

    async def pour(socket: ServerConnection) -> None:
        try:
            while True:
                await socket.send(b"x" * 65536)
        finally:
            ended.set()

    voice.handler = pour
    url = f"http://127.0.0.1:{voice.port}"
    door = await open_door(voice_service_url=url, upstream_sockets=1, read_within=0.5)
    async with open_socket(door, max_queue=1, compression=None):
        await asyncio.wait_for(ended.wait(), 5)
        voice.handler = None
        async with open_socket(door) as socket:
            await socket.send("there is room")
            assert await socket.recv() == "there is room"


async def test_too_many_sockets_close_with_4429(open_door: OpenDoor, voice: Voice) -> None:
    url = f"http://127.0.0.1:{voice.port}"
    door = await open_door(voice_service_url=url, rate_limit_person=1)
    async with open_socket(door) as socket:
        await socket.send("hi")
        assert await socket.recv() == "hi"
    async with open_socket(door) as socket:
        assert await closing_code(socket) == 4429
    assert len(voice.requests) == 1


async def test_sockets_beyond_their_limit_are_told_to_try_later(
    open_door: OpenDoor, voice: Voice
) -> None:
    door = await open_door(voice_service_url=f"http://127.0.0.1:{voice.port}", upstream_sockets=1)
    async with open_socket(door), open_socket(door) as more:
        assert await closing_code(more) == 1013
    async with open_socket(door) as socket:
        await socket.send("hi")
        assert await socket.recv() == "hi"
    assert len(voice.requests) == 2
