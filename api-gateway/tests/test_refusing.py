"""What never gets through: unknown paths, two readings of one request, too much of anything."""

import asyncio
import time
from collections.abc import AsyncIterator

import httpx
import pytest

from api_gateway.testing import Asked, Door, OpenDoor, exchange, hello

PATH = "/api/v1/conversations"
HOST = b"Host: medbot\r\nConnection: close\r\n"

INSIDE = [
    "/api/v1/conversations/../../../internal/sessions/ended",
    "/api/v1/conversations/..%2f..%2f..%2finternal/x",
    "/api/v1/conversations/%2e%2e/%2e%2e/internal",
    "/api/v1/conversations/.%2e/internal",
    "/api/v1/conversations/./x",
    "/api/v1/conversations%2f..%2finternal",
    "/api/v1/conversations/%252e%252e/internal",
    "/api/v1/conversations/..%5c..%5cinternal",
    "/api/v1/conversations//internal",
    "//internal/sessions/ended",
    "//evil.example/",
    "/internal//sessions",
    "/api/v1/conversations/..;/internal",
    "/api/v1/conversations/%00",
    "/api/v1/conversations/%0d%0ax-user-id:1",
    "/api/v1/conversations/\\..\\internal",
    "/api/v1/conversations/%zz",
    "/%69nternal/sessions/ended",
    "/internal",
    "/Internal/x",
    "http://127.0.0.1/internal/sessions/ended",
    "http://medbot//internal/sessions/ended",
]

TWO_READINGS = [
    b"Content-Length: 3\r\nContent-Length: 5\r\n",
    b"Content-Length: 3\r\nContent-Length: 3\r\n",
    b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n",
    b"Transfer-Encoding: chunked\r\nContent-Length: 3\r\n",
    b"Transfer-Encoding: xchunked\r\n",
    b"Transfer-Encoding: chunked, identity\r\n",
    b"Transfer-Encoding : chunked\r\n",
    b"Content-Length: +3\r\n",
    b"Content-Length: 3 3\r\n",
    b"Content-Length: -1\r\n",
    b"X-A: b\r\n Transfer-Encoding: chunked\r\n",
    b"X-A: b\nX-User-Id: 1\r\n",
    b"X-A: b\rX-User-Id: 1\r\n",
    b"X-A: \0\r\n",
    b"X A: b\r\n",
    b": b\r\n",
    b"Host: other\r\n",
    b"Authorization: Bearer other\r\n",
]


def refused(answer: httpx.Response, status: int, code: str) -> bool:
    body = answer.json()
    assert answer.headers["content-type"] == "application/problem+json"
    assert body["request_id"] == answer.headers["x-request-id"]
    assert set(body) == {"type", "title", "status", "detail", "code", "request_id"}
    return (answer.status_code, body["status"], body["code"]) == (status, status, code)


@pytest.mark.parametrize(
    "path", ["/nothing", "/api", "/api/v1", "/internal/sessions/ended", "/metrics"]
)
async def test_an_unknown_path_is_404(door: Door, path: str) -> None:
    assert refused(await door.client.get(path), 404, "request.not_found")
    assert door.service.asked == []


async def test_no_way_of_writing_a_path_leads_inside(door: Door) -> None:
    for path in INSIDE:
        request = f"GET {path} HTTP/1.1\r\n".encode() + HOST + door.authorization + b"\r\n"
        answer = await exchange(door.port, request)
        assert answer.split(b" ", 2)[1] in (b"400", b"404"), path
        assert door.service.asked == [], path


@pytest.mark.parametrize(
    "path",
    ["/api/v1/auth/%6cogin", "/api/v1/auth/password%2Dforgot", "/api/v1/auth/%4Dfa", "/x%5fy/%7Ez"],
)
async def test_no_call_has_a_second_name_under_which_other_limits_hold(
    door: Door, path: str
) -> None:
    request = f"POST {path} HTTP/1.1\r\nContent-Length: 0\r\n".encode() + HOST
    answer = await exchange(door.port, request + door.authorization + b"\r\n")
    assert answer.startswith(b"HTTP/1.1 400")
    assert b"gateway.malformed_path" in answer
    assert door.service.asked == []


@pytest.mark.parametrize("name", ["%20a", "b%C3%A9", "%40c", "(d)", "e%60f"])
async def test_what_has_to_be_encoded_passes_as_it_came(door: Door, name: str) -> None:
    request = f"GET {PATH}/{name} HTTP/1.1\r\n".encode() + HOST + door.authorization
    assert (await exchange(door.port, request + b"\r\n")).startswith(b"HTTP/1.1 200")
    assert door.service.asked[0].line == f"GET {PATH}/{name} HTTP/1.1"


async def test_an_absolute_target_is_read_by_its_path_alone(door: Door) -> None:
    request = f"GET http://elsewhere{PATH} HTTP/1.1\r\n".encode() + HOST + door.authorization
    answer = await exchange(door.port, request + b"\r\n")
    assert answer.startswith(b"HTTP/1.1 200")
    assert door.service.asked[0].line == f"GET {PATH} HTTP/1.1"
    assert door.service.asked[0].headers["host"] == f"127.0.0.1:{door.service.port}"


async def test_a_request_with_two_readings_is_refused(door: Door) -> None:
    hidden = b"0\r\n\r\nGET /internal HTTP/1.1\r\nHost: x\r\n\r\n"
    for lines in TWO_READINGS:
        request = f"POST {PATH} HTTP/1.1\r\n".encode() + HOST + door.authorization + lines
        answer = await exchange(door.port, request + b"\r\n" + hidden)
        assert answer.startswith(b"HTTP/1.1 4"), lines
        assert b"HTTP/1.1 2" not in answer, lines
    assert door.service.asked == []


@pytest.mark.parametrize("method", ["TRACE", "PROPFIND"])
async def test_odd_methods_are_405(door: Door, method: str) -> None:
    answer = await door.client.request(method, PATH)
    assert refused(answer, 405, "request.method_not_allowed")
    assert "GET" in answer.headers["allow"]


async def test_a_method_that_a_route_has_not_is_405(door: Door) -> None:
    answer = await door.client.get("/api/v1/auth/login")
    assert refused(answer, 405, "request.method_not_allowed")
    assert refused(await door.client.post("/health"), 405, "request.method_not_allowed")


async def test_connect_opens_no_tunnel(door: Door) -> None:
    answer = await exchange(door.port, b"CONNECT 127.0.0.1:22 HTTP/1.1\r\n" + HOST + b"\r\n")
    assert answer.startswith(b"HTTP/1.1 4")


async def test_one_trailing_slash_is_sent_away(door: Door) -> None:
    answer = await door.client.get(f"{PATH}/?q=1")
    assert (answer.status_code, answer.headers["location"]) == (308, f"{PATH}?q=1")
    assert refused(await door.client.get(f"{PATH}//"), 400, "gateway.malformed_path")


async def test_a_large_body_is_refused_before_it_is_read(open_door: OpenDoor) -> None:
    door = await open_door(max_body=1000)
    assert refused(await door.client.post(PATH, content=b"x" * 1001), 413, "gateway.body_too_large")
    assert door.service.asked == []
    assert (await door.client.post(PATH, content=b"x" * 1000)).status_code == 200


async def test_a_large_body_without_a_length_is_refused(open_door: OpenDoor) -> None:
    door = await open_door(max_body=1000)

    async def body(parts: int) -> AsyncIterator[bytes]:
        for _ in range(parts):
            yield b"x" * 100
            await asyncio.sleep(0.005)

    large = await door.client.post(PATH, content=body(20))
    assert refused(large, 413, "gateway.body_too_large")
    assert door.service.asked == []
    assert (await door.client.post(PATH, content=body(10))).status_code == 200


@pytest.mark.parametrize("headers", [{"x-a": "b" * 40_000}, {f"x-{n}": "b" for n in range(120)}])
async def test_large_headers_are_refused(door: Door, headers: dict[str, str]) -> None:
    answer = await door.client.get(PATH, headers=headers)
    assert refused(answer, 431, "gateway.headers_too_large")


async def test_a_long_address_is_refused(door: Door) -> None:
    answer = await door.client.get(PATH, params={"q": "x" * 9000})
    assert refused(answer, 414, "gateway.uri_too_long")


async def test_a_service_without_an_address_is_503(door: Door) -> None:
    answer = await door.client.get("/api/v1/appointments")
    assert refused(answer, 503, "gateway.unavailable")


async def test_a_service_that_is_down_is_503(open_door: OpenDoor, unused_port: int) -> None:
    door = await open_door(conversation_service_url=f"http://127.0.0.1:{unused_port}")
    answer = await door.client.get(PATH)
    assert refused(answer, 503, "gateway.unavailable")
    assert answer.headers["retry-after"] == "1"


async def test_a_service_that_hangs_is_504(open_door: OpenDoor) -> None:
    door = await open_door(first_byte_timeout=0.3)
    left = asyncio.Event()

    async def hang(asked: Asked) -> None:
        await asked.left()
        left.set()

    door.service.answer = hang
    started = time.monotonic()
    assert refused(await door.client.get(PATH), 504, "gateway.timeout")
    assert time.monotonic() - started < 1.5
    await asyncio.wait_for(left.wait(), 2)


async def test_an_answer_that_takes_too_long_is_cut(open_door: OpenDoor) -> None:
    door = await open_door(whole_timeout=0.4)

    async def drip(asked: Asked) -> None:
        await asked.say(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n")
        for _ in range(100):
            await asked.say(b"x")
            await asyncio.sleep(0.05)

    door.service.answer = drip
    with pytest.raises(httpx.RemoteProtocolError):
        await door.client.get(PATH)


async def test_a_stream_may_last_but_not_be_silent(open_door: OpenDoor) -> None:
    door = await open_door(whole_timeout=0.2, idle_timeout=0.6)

    async def talk_then_stop(asked: Asked) -> None:
        await asked.say(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n")
        for _ in range(10):
            await asked.say(b": \n\n")
            await asyncio.sleep(0.1)
        await asked.left()

    door.service.answer = talk_then_stop
    async with door.client.stream("GET", PATH) as stream:
        said = await stream.aread()
    talk, _, last = said.partition(b"event: error\n")
    assert talk == b": \n\n" * 10
    assert b'"gateway.timeout"' in last


@pytest.mark.parametrize("begun", [b"", b'{"content"'])
async def test_a_body_that_does_not_come_is_408(open_door: OpenDoor, begun: bytes) -> None:
    """Nobody holds a connection by promising a body, with or without its beginning."""
    door = await open_door(idle_timeout=0.3)
    head = f"POST {PATH} HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n".encode()
    request = head + door.authorization + b"\r\n" + begun
    answer = await exchange(door.port, request, seconds=3)
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert b"gateway.body_too_slow" in answer


@pytest.mark.parametrize(
    "nonsense",
    [b"what?\r\n\r\n", b"HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\n\r\n", b"",
     b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\ncontent-length: 4\r\n\r\nabcd",
     b"HTTP/1.1 200 OK\r\nx: " + b"y" * 70_000 + b"\r\n\r\n"],
)  # fmt: skip
async def test_a_service_that_talks_nonsense_is_502(door: Door, nonsense: bytes) -> None:
    async def answer(asked: Asked) -> None:
        await asked.say(nonsense)
        asked.writer.close()

    door.service.answer = answer
    assert refused(await door.client.get(PATH), 502, "gateway.unavailable")
    door.service.answer = hello
    assert (await door.client.get(PATH)).status_code == 200
