"""What passes through the gateway passes whole, and an answer as it comes."""

import asyncio
from collections.abc import AsyncIterator

import httpx
import pytest

from api_gateway.testing import Asked, Door, exchange, hello

PATH = "/api/v1/conversations"
STREAM = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


async def test_an_answer_passes_whole(door: Door) -> None:
    answer = await door.client.get(f"{PATH}?q=a%20b&limit=2")
    assert (answer.status_code, answer.json()) == (200, {"hello": 42})
    assert door.service.asked[0].line == f"GET {PATH}?q=a%20b&limit=2 HTTP/1.1"


async def test_a_body_passes_whole(door: Door) -> None:
    bodies: list[bytes] = []

    async def answer(asked: Asked) -> None:
        bodies.append(await asked.body())
        await asked.say(b"HTTP/1.1 201 Created\r\ncontent-length: 0\r\n\r\n")

    door.service.answer = answer
    sent = bytes(range(256)) * 2000
    assert (await door.client.post(PATH, content=sent)).status_code == 201
    assert bodies == [sent]


async def test_each_event_passes_at_once(door: Door) -> None:
    go_on = asyncio.Event()

    async def answer(asked: Asked) -> None:
        await asked.say(STREAM + chunk(b"data: 1\n\n"))
        await go_on.wait()
        await asked.say(chunk(b"data: 2\n\n") + b"0\r\n\r\n")

    door.service.answer = answer
    async with door.client.stream("GET", PATH) as stream:
        parts = stream.aiter_bytes()
        assert await anext(parts) == b"data: 1\n\n"  # while the service still waits
        go_on.set()
        assert b"".join([part async for part in parts]) == b"data: 2\n\n"
    assert "content-encoding" not in stream.headers
    assert "accept-encoding" not in door.service.asked[0].headers


async def test_a_body_in_chunks_passes_whole(door: Door) -> None:
    bodies: list[bytes] = []

    async def answer(asked: Asked) -> None:
        bodies.append(await asked.body())
        await asked.say(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")

    door.service.answer = answer

    async def body() -> AsyncIterator[bytes]:
        yield b"first-"
        await asyncio.sleep(0.05)
        yield b"second"

    answered = await door.client.post(PATH, content=body())
    assert (answered.text, bodies) == ("ok", [b"first-second"])


async def test_a_client_that_leaves_a_stream_ends_it_upstream(door: Door) -> None:
    left = asyncio.Event()

    async def answer(asked: Asked) -> None:
        await asked.say(STREAM + chunk(b"data: 1\n\n"))
        await asked.left()
        left.set()

    door.service.answer = answer
    async with door.client.stream("GET", PATH) as stream:
        assert await anext(stream.aiter_bytes()) == b"data: 1\n\n"
    await asyncio.wait_for(left.wait(), 2)


async def test_a_client_that_leaves_before_the_answer_ends_it_upstream(door: Door) -> None:
    left = asyncio.Event()

    async def answer(asked: Asked) -> None:
        await asked.body()
        await asked.left()
        left.set()

    door.service.answer = answer
    with pytest.raises(httpx.ReadTimeout):
        await door.client.post(PATH, json={"content": "x"}, timeout=0.3)
    await asyncio.wait_for(left.wait(), 2)


async def test_a_slow_reader_makes_the_service_wait(door: Door) -> None:
    """Neither the gateway nor the sockets hold more than a bounded part of a large answer."""
    size, said = 64 * 1024 * 1024, 0

    async def answer(asked: Asked) -> None:
        nonlocal said
        await asked.say(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % size)
        while said < size:
            await asked.say(b"x" * 65536)
            said += 65536

    door.service.answer = answer
    reader, writer = await asyncio.open_connection("127.0.0.1", door.port, limit=65536)
    writer.write(f"GET {PATH} HTTP/1.1\r\nHost: x\r\n".encode() + door.authorization + b"\r\n")
    await reader.readuntil(b"\r\n\r\n")
    await asyncio.sleep(0.5)
    held = said
    assert held < size / 2
    rest = 0
    while rest < size:
        rest += len(await reader.read(1 << 20))
    assert rest == size
    writer.close()


@pytest.mark.parametrize(
    "framing", [b"content-length: 100\r\n\r\n", b"transfer-encoding: chunked\r\n\r\n5\r\n"]
)
async def test_a_truncated_answer_never_looks_whole(door: Door, framing: bytes) -> None:
    async def answer(asked: Asked) -> None:
        await asked.say(b"HTTP/1.1 200 OK\r\n" + framing + b"hello\r\n")
        asked.writer.close()

    door.service.answer = answer
    with pytest.raises(httpx.RemoteProtocolError):
        await door.client.get(PATH)


async def test_an_answer_that_ends_with_its_connection_is_whole(door: Door) -> None:
    async def answer(asked: Asked) -> None:
        await asked.say(b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\nto the end")
        asked.writer.close()

    door.service.answer = answer
    assert (await door.client.get(PATH)).text == "to the end"


async def test_head_and_empty_answers_pass_and_the_next_one_is_right(door: Door) -> None:
    async def answer(asked: Asked) -> None:
        if asked.line.startswith("DELETE"):
            await asked.say(b"HTTP/1.1 204 No Content\r\n\r\n")
        elif asked.line.startswith("HEAD"):
            await asked.say(b"HTTP/1.1 200 OK\r\ncontent-length: 13\r\n\r\n")
        else:
            await hello(asked)

    door.service.answer = answer
    for _ in range(3):
        head = await door.client.head(PATH)
        assert (head.status_code, head.content) == (200, b"")
        gone = await door.client.delete(f"{PATH}/1")
        assert (gone.status_code, gone.content) == (204, b"")
        assert (await door.client.get(PATH)).json() == {"hello": 42}


async def test_informational_answers_are_not_the_answer(door: Door) -> None:
    async def answer(asked: Asked) -> None:
        await asked.say(b"HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n")
        await hello(asked)

    door.service.answer = answer
    answered = await door.client.get(PATH)
    assert (answered.json(), answered.headers.get("link")) == ({"hello": 42}, None)


async def test_connections_to_a_service_are_kept_and_a_closed_one_is_not_used(door: Door) -> None:
    for _ in range(3):
        await door.client.get(PATH)
    writers = {id(asked.writer) for asked in door.service.asked}
    assert len(writers) == 1
    door.service.asked[-1].writer.close()
    await asyncio.sleep(0.05)
    assert (await door.client.get(PATH)).status_code == 200


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_what_may_have_reached_a_service_is_never_sent_twice(door: Door, method: str) -> None:
    await door.client.get(PATH)

    async def die(asked: Asked) -> None:
        await asked.body()
        asked.writer.transport.abort()

    door.service.answer = die
    answered = await door.client.request(method, PATH)
    assert (answered.status_code, answered.json()["code"]) == (502, "gateway.unavailable")
    assert len(door.service.asked) == 2


async def test_bytes_that_nobody_asked_for_do_not_become_the_next_answer(door: Door) -> None:
    async def twice(asked: Asked) -> None:
        await hello(asked)
        await asked.say(b"HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\nforged")

    door.service.answer = twice
    await door.client.get(PATH)
    await asyncio.sleep(0.05)
    door.service.answer = hello
    assert (await door.client.get(PATH)).json() == {"hello": 42}


async def test_many_at_once_each_get_their_own(door: Door) -> None:
    async def echo(asked: Asked) -> None:
        name = asked.line.split()[1].rpartition("/")[2].encode()
        await asyncio.sleep(0.01)
        await asked.say(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%b" % (len(name), name))

    door.service.answer = echo
    answers = await asyncio.gather(*(door.client.get(f"{PATH}/{n}") for n in range(60)))
    assert [answer.text for answer in answers] == [str(n) for n in range(60)]


async def test_pipelined_requests_are_answered_in_order(door: Door) -> None:
    one = f"GET {PATH}/1 HTTP/1.1\r\nHost: x\r\n".encode() + door.authorization + b"\r\n"
    two = one.replace(b"/1 ", b"/2 ").replace(b"Host: x", b"Host: x\r\nConnection: close")
    answer = await exchange(door.port, one + two)
    assert answer.count(b'{"hello": 42}') == 2
