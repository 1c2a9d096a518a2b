"""A service that is away, slow or full takes nobody else down with it, and is taken back soon."""

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable

import pytest
from starlette.types import Message

from api_gateway import refusals, relay
from api_gateway.connection import Connection
from api_gateway.pool import Limits, Pool
from api_gateway.request import Request
from api_gateway.room import Room
from api_gateway.testing import Asked, Door, OpenDoor, hello, wire_service
from kit.testing import Watch

PATH = "/api/v1/conversations"
ID = "7f1d2c9a-3f39-4c1c-9a55-2d1d0a5f6a01"
VOICE = "/api/v1/voice/sessions"
STREAM = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
EVENT = b"data: 1\n\n"


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


async def until(seen: Callable[[], Awaitable[bool]], seconds: float = 5.0) -> None:
    async with asyncio.timeout(seconds):
        while not await seen():
            await asyncio.sleep(0.02)


@pytest.mark.parametrize(
    ("waited", "order"),
    [(2.0, ["early", "late"]), (2.5, ["late", "early"])],
    ids=["burst", "flood"],
)
async def test_a_room_serves_in_turn_in_a_flood_the_last_first_and_keeps_no_endless_queue(
    waited: float, order: list[str]
) -> None:
    watch = Watch()
    room, served = Room("x", 1, waiting=2, within=5.0, clock=watch), []
    await room.enter()

    async def come(name: str) -> None:
        await room.enter()
        served.append(name)
        room.leave()

    tasks = [asyncio.create_task(come(name)) for name in ("early", "late")]
    await asyncio.sleep(0)
    with pytest.raises(refusals.Overloaded):
        await room.enter()
    watch.now += waited
    room.leave()
    await asyncio.gather(*tasks)
    assert (served, room.taken, room.waiting) == (order, 0, 0)


async def test_whoever_waits_too_long_or_leaves_takes_no_place() -> None:
    room = Room("x", 1, waiting=9, within=0.05)
    await room.enter()
    with pytest.raises(refusals.Overloaded):
        await room.enter()
    leaving = asyncio.create_task(room.enter())
    await asyncio.sleep(0)
    room.leave()  # the place is given to it ...
    leaving.cancel()  # ... just as it leaves
    with pytest.raises(asyncio.CancelledError):
        await leaving
    assert (room.taken, room.waiting) == (0, 0)


async def test_a_service_that_is_away_is_left_alone_and_taken_back(
    open_door: OpenDoor, unused_port: int
) -> None:
    away = f"http://127.0.0.1:{unused_port}"
    door = await open_door(voice_service_url=away, breaker_pause=0.3)
    codes = []
    for _ in range(4):
        answer = await door.client.get(VOICE)
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
        codes.append(answer.json()["code"])
    assert codes[0] == "gateway.unavailable"
    assert codes[-1] == "gateway.circuit_open"
    assert (await door.client.get(PATH)).status_code == 200, "others are not concerned"
    paths: list[str] = []

    async def come_back(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked = Asked(await reader.readuntil(b"\r\n\r\n"), reader, writer)
        paths.append(asked.line)
        await hello(asked)
        writer.close()

    server = await asyncio.start_server(come_back, "127.0.0.1", unused_port)
    async with server:

        async def is_back() -> bool:
            return (await door.client.get(VOICE)).status_code == 200

        await until(is_back)
    assert paths[0] == "GET /health HTTP/1.1", "the probe is no request of anybody"


async def test_what_a_service_answers_on_purpose_opens_nothing(door: Door) -> None:
    async def refuse(asked: Asked) -> None:
        await asked.say(b"HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\n\r\n")

    door.service.answer = refuse
    codes = {(await door.client.get(PATH)).status_code for _ in range(20)}
    assert codes == {503}
    assert len(door.service.asked) == 20


@pytest.mark.parametrize("status", [b"502 Bad Gateway", b"504 Gateway Timeout"])
async def test_a_broken_way_to_a_service_opens_the_circuit(
    open_door: OpenDoor, status: bytes
) -> None:
    door = await open_door(breaker_failures=2)

    async def on_the_way(asked: Asked) -> None:
        await asked.say(b"HTTP/1.1 %b\r\ncontent-length: 0\r\n\r\n" % status)

    door.service.answer = on_the_way
    codes = [(await door.client.get(PATH)).status_code for _ in range(3)]
    assert codes == [int(status[:3])] * 2 + [503]


async def test_a_service_that_hangs_opens_the_circuit(open_door: OpenDoor) -> None:
    door = await open_door(first_byte_timeout=0.2, breaker_failures=2, breaker_pause=60)

    async def hang(asked: Asked) -> None:
        await asked.left()

    door.service.answer = hang
    answers = await asyncio.gather(*(door.client.get(PATH) for _ in range(2)))
    assert {answer.json()["code"] for answer in answers} == {"gateway.timeout"}
    refused = await door.client.get(PATH)
    assert (refused.status_code, refused.json()["code"]) == (503, "gateway.circuit_open")
    assert int(refused.headers["retry-after"]) > 50


class Restarting(Pool):
    """The connections to a service that does not listen yet when the first is wanted."""

    wanted = 0

    async def fresh(self) -> Connection:
        self.wanted += 1
        if self.wanted == 1:
            raise refusals.Unavailable
        return await super().fresh()


@pytest.mark.parametrize(("method", "again"), [("GET", True), ("DELETE", True), ("POST", False)])
async def test_a_refused_connection_is_tried_once_more_where_that_is_safe(
    method: str, again: bool
) -> None:
    statuses: list[int] = []

    async def receive() -> Message:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Message) -> None:
        if message["type"] == "http.response.start":
            statuses.append(message["status"])

    limits = Limits(1, 1, 1, 1, 1, requests=1, streams=1, sockets=1, wait=0, failures=9, pause=1)
    async with wire_service() as service:
        pool = Restarting("voice", service.url, limits)
        lines = [b"host: %b\r\n" % pool.authority]
        request = Request(method, b"/", lines, length=0, max_body=1)
        with contextlib.nullcontext() if again else pytest.raises(refusals.Unavailable):
            await relay.relay(request, pool, [], receive, send)
        pool.close()
    assert (pool.wanted, statuses) == ((2, [200]) if again else (1, []))
    assert pool.requests.taken == 0


async def test_beyond_its_limit_a_service_is_not_asked_and_nobody_waits_for_long(
    open_door: OpenDoor,
) -> None:
    door = await open_door(upstream_requests=2, upstream_wait=0.2)
    go_on = asyncio.Event()

    async def slow(asked: Asked) -> None:
        await go_on.wait()
        await hello(asked)

    door.service.answer = slow
    held = [asyncio.create_task(door.client.get(PATH)) for _ in range(2)]
    await until(lambda: _asked(door, 2))
    started = time.monotonic()
    refused = await asyncio.gather(*(door.client.get(PATH) for _ in range(20)))
    assert time.monotonic() - started < 3
    for answer in refused:
        assert (answer.status_code, answer.json()["code"]) == (503, "gateway.overloaded")
        assert int(answer.headers["retry-after"]) >= 1
    assert len(door.service.asked) == 2
    go_on.set()
    assert [answer.status_code for answer in await asyncio.gather(*held)] == [200, 200]
    assert (await door.client.get(PATH)).status_code == 200


async def _asked(door: Door, many: int) -> bool:
    return len(door.service.asked) >= many


async def test_readers_of_streams_and_of_whole_replies_take_no_place_of_requests(
    open_door: OpenDoor,
) -> None:
    door = await open_door(upstream_requests=2, upstream_streams=12)

    async def answer(asked: Asked) -> None:
        await asked.body()
        if "events" in asked.line:
            await asked.say(STREAM + chunk(EVENT))
        elif asked.line.startswith("POST"):
            await asked.left()
        else:
            await hello(asked)

    door.service.answer = answer
    reply = f"{PATH}/{ID}/messages"
    waiting = [asyncio.create_task(door.client.post(reply, json={})) for _ in range(4)]
    readers = [await asyncio.open_connection("127.0.0.1", door.port) for _ in range(8)]
    for reader, writer in readers:
        writer.write(b"GET /api/v1/events HTTP/1.1\r\nHost: x\r\n" + door.authorization + b"\r\n")
        assert await reader.readuntil(EVENT)
    await until(lambda: _asked(door, 12))
    assert (await door.client.get(PATH)).status_code == 200
    refused = await door.client.get("/api/v1/events")
    assert (refused.status_code, refused.json()["code"]) == (503, "gateway.overloaded")
    for _, writer in readers:
        writer.close()
    for task in waiting:
        task.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)

    async def free_again() -> bool:
        async with door.client.stream("GET", "/api/v1/events") as stream:
            return stream.status_code == 200

    await until(free_again)


async def test_a_reply_that_is_waited_for_has_longer_than_other_answers(
    open_door: OpenDoor,
) -> None:
    door = await open_door(first_byte_timeout=0.2, whole_timeout=0.2, idle_timeout=0.2)

    async def slow(asked: Asked) -> None:
        await asked.body()
        await asyncio.sleep(0.6)
        await asked.say(b"HTTP/1.1 201 Created\r\ncontent-length: 0\r\n\r\n")

    door.service.answer = slow
    assert (await door.client.get(PATH)).status_code == 504
    for path in (f"{PATH}/{ID}/messages", f"{PATH}/{ID}/messages/{ID}/regenerate"):
        assert (await door.client.post(path, json={})).status_code == 201


@pytest.mark.parametrize(
    ("framing", "begun"),
    [
        (b"Content-Length: 100", b'{"content"'),
        (b"Content-Length: 200000", b" " * 100_000),
        (b"Transfer-Encoding: chunked", b"1\r\n{\r\n"),
    ],
    ids=["short", "long", "in chunks"],
)
async def test_a_body_that_comes_slowly_takes_no_place(
    open_door: OpenDoor, framing: bytes, begun: bytes
) -> None:
    door = await open_door(upstream_requests=1, upstream_wait=0.0)
    _, writer = await asyncio.open_connection("127.0.0.1", door.port)
    head = f"POST {PATH} HTTP/1.1\r\nHost: x\r\n".encode() + framing + b"\r\n"
    writer.write(head + door.authorization + b"\r\n" + begun)
    await asyncio.sleep(0.1)
    assert (await door.client.get(PATH)).status_code == 200
    assert len(door.service.asked) == 1
    writer.close()


async def test_a_body_that_never_ends_is_told_so_and_is_no_fault_of_the_service(
    open_door: OpenDoor,
) -> None:
    door = await open_door(whole_timeout=0.6, breaker_failures=1, breaker_pause=60)
    reader, writer = await asyncio.open_connection("127.0.0.1", door.port)
    head = f"POST {PATH} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n".encode()
    writer.write(head + door.authorization + b"\r\n")
    answer = asyncio.create_task(reader.readline())
    while not answer.done():
        writer.write(b"1\r\n \r\n")
        await asyncio.wait([answer], timeout=0.1)
    assert b" 408 " in answer.result()
    assert (await door.client.get(PATH)).status_code == 200
    assert len(door.service.asked) == 1
    writer.close()


async def test_of_long_bodies_only_so_many_are_held_at_once(open_door: OpenDoor) -> None:
    door = await open_door(upstream_requests=1, upstream_wait=0.0)
    _, writer = await asyncio.open_connection("127.0.0.1", door.port)
    head = f"POST {PATH} HTTP/1.1\r\nHost: x\r\nContent-Length: 200000\r\n".encode()
    writer.write(head + door.authorization + b"\r\n" + b" " * 100_000)
    await asyncio.sleep(0.1)
    refused = await door.client.post(PATH, content=b" " * 70_000)
    assert (refused.status_code, refused.json()["code"]) == (503, "gateway.overloaded")
    assert (await door.client.post(PATH, content=b" " * 60_000)).status_code == 200
    writer.close()

    async def room_again() -> bool:
        answer = await door.client.post(PATH, content=b" " * 70_000)
        return answer.status_code == 200

    await until(room_again)


async def test_whoever_does_not_read_the_answer_keeps_no_place(open_door: OpenDoor) -> None:
    door = await open_door(read_within=0.5, upstream_requests=1, upstream_wait=0.0)
    size = 16 * 1024 * 1024

    async def answer(asked: Asked) -> None:
        await asked.say(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % size + b"x" * size)

    door.service.answer = answer
    reader, writer = await asyncio.open_connection("127.0.0.1", door.port, limit=1024)
    writer.write(f"GET {PATH} HTTP/1.1\r\nHost: x\r\n".encode() + door.authorization + b"\r\n")
    await reader.readuntil(b"\r\n\r\n")
    assert (await door.client.get(PATH)).status_code == 503
    door.service.answer = hello

    async def room_again() -> bool:
        return (await door.client.get(PATH)).status_code == 200

    await until(room_again)
    came = 0
    with contextlib.suppress(ConnectionError):
        while part := await reader.read(1 << 20):
            came += len(part)
    assert came < size
    writer.close()


async def test_a_stream_has_its_place_before_the_service_is_asked(open_door: OpenDoor) -> None:
    door = await open_door(upstream_streams=1)
    go_on = asyncio.Event()

    async def late(asked: Asked) -> None:
        await asked.body()
        await go_on.wait()
        await asked.say(STREAM + chunk(EVENT) + chunk(b""))

    door.service.answer = late
    reply, accepts = f"{PATH}/{ID}/messages", {"accept": "text/event-stream"}
    first = asyncio.create_task(door.client.post(reply, json={}, headers=accepts))
    await until(lambda: _asked(door, 1))
    refused = await door.client.post(reply, json={}, headers=accepts)
    assert (refused.status_code, refused.json()["code"]) == (503, "gateway.overloaded")
    assert len(door.service.asked) == 1
    go_on.set()
    assert (await first).content == EVENT
    assert (await door.client.post(reply, json={}, headers=accepts)).content == EVENT
