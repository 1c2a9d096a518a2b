"""A stream of events that its service does not end is ended by the gateway, with a named error."""

import asyncio
import gc
import json
from collections.abc import Sequence

import httpx
import pytest
from httpx_sse import EventSource, ServerSentEvent

from api_gateway import events, refusals
from api_gateway.connection import Connection
from api_gateway.main import Gateway
from api_gateway.testing import Asked, Door, OpenDoor

REPLY = "/api/v1/conversations/7f1d2c9a-3f39-4c1c-9a55-2d1d0a5f6a01/messages"
FEED = "/api/v1/events"
STREAM = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
DELTA = b'event: delta\ndata: {"text":"Rest and ","offset":0}\n\n'
NEXT = b'event: delta\ndata: {"text":"drink.","offset":9}\n\n'


def says(door: Door, parts: Sequence[bytes], *, cut: bool = True) -> None:
    """The service says these parts of a stream, then breaks off or ends it."""

    async def answer(asked: Asked) -> None:
        await asked.body()
        await asked.say(STREAM)
        for part in parts:
            await asked.say(b"%x\r\n%b\r\n" % (len(part), part))
        if cut:
            asked.writer.close()
        else:
            await asked.say(b"0\r\n\r\n")

    door.service.answer = answer


async def read(door: Door, method: str, path: str) -> list[ServerSentEvent]:
    async with door.client.stream(method, path, json={}) as answer:
        assert answer.status_code == 200
        return [event async for event in EventSource(answer).aiter_sse()]


@pytest.mark.parametrize("half", [b"", NEXT[:20], NEXT[:-2], NEXT[:-1]])
async def test_a_service_that_dies_in_a_reply_leaves_an_error_and_no_half_event(
    door: Door, half: bytes
) -> None:
    says(door, [DELTA, half] if half else [DELTA])
    first, last = await read(door, "POST", REPLY)
    assert (first.event, first.data) == ("delta", '{"text":"Rest and ","offset":0}')
    problem = last.json()
    assert last.event == "error"
    assert (problem["code"], problem["status"]) == ("gateway.stream_cut", 503)
    assert problem["request_id"]


async def test_a_service_that_dies_before_its_first_event_is_an_error_too(door: Door) -> None:
    says(door, [])
    (only,) = await read(door, "POST", REPLY)
    assert only.json()["code"] == "gateway.stream_cut"


async def test_live_updates_merely_end(door: Door) -> None:
    says(door, [DELTA, NEXT[:20]])
    assert [event.event for event in await read(door, "GET", FEED)] == ["delta"]


async def test_a_silent_service_is_named_as_such(open_door: OpenDoor) -> None:
    door = await open_door(idle_timeout=0.3)

    async def fall_silent(asked: Asked) -> None:
        await asked.body()
        await asked.say(STREAM + b"%x\r\n%b\r\n" % (len(DELTA), DELTA))
        await asked.left()

    door.service.answer = fall_silent
    _, last = await read(door, "POST", REPLY)
    assert last.json()["code"] == "gateway.timeout"


@pytest.mark.parametrize("size", [1, 3, 7, 1000])
async def test_events_in_any_pieces_arrive_whole(door: Door, size: int) -> None:
    whole = b": alive\n\n" + DELTA + NEXT.replace(b"\n", b"\r\n") + NEXT + b"data: last"
    says(door, [whole[at : at + size] for at in range(0, len(whole), size)], cut=False)
    async with door.client.stream("POST", REPLY, json={}) as answer:
        assert await answer.aread() == whole


async def test_what_is_no_stream_of_events_stays_cut(door: Door) -> None:
    async def answer(asked: Asked) -> None:
        await asked.body()
        await asked.say(STREAM.replace(b"event-stream", b"plain") + b"5\r\nhello\r\n")
        asked.writer.close()

    door.service.answer = answer
    with pytest.raises(httpx.RemoteProtocolError):
        await door.client.get(FEED)


def test_an_event_beyond_any_measure_is_not_held_back_and_cannot_be_ended() -> None:
    passing = events.Passing()
    assert passing.take(b"data: ") == b""
    long = b"x" * events.LONGEST
    assert passing.take(long) == b"data: " + long
    assert not passing.between
    assert passing.take(b"more") == b"more"
    assert passing.take(b"end\n\ndata: ") == b"end\n\n"
    assert passing.between
    assert passing.rest() == b"data: "


def test_the_last_event_is_one_event() -> None:
    name, data, *rest = events.last(refusals.StreamCut()).decode().split("\n")
    assert (name, rest) == ("event: error", ["", ""])
    assert json.loads(data.removeprefix("data: "))["code"] == "gateway.stream_cut"


async def test_a_gateway_that_leaves_says_so_in_a_reply_that_takes_too_long(
    open_door: OpenDoor,
) -> None:
    gateways: list[Gateway] = []
    door = await open_door(drain_seconds=1.5, made=gateways.append)

    async def go_on(asked: Asked) -> None:
        await asked.body()
        await asked.say(STREAM)
        while True:
            await asked.say(b"%x\r\n%b\r\n" % (len(DELTA), DELTA))
            await asyncio.sleep(0.1)

    door.service.answer = go_on
    reading = asyncio.create_task(read(door, "POST", REPLY))
    while not door.service.asked:
        await asyncio.sleep(0.01)
    gateways[0].state.drain.closing.set()
    async with asyncio.timeout(8):
        said = await reading
    assert said[-1].json()["code"] == "gateway.restarting"
    assert len(said) > 8, "it had its time"


async def test_a_stream_that_its_reader_leaves_is_gone_at_once(door: Door) -> None:
    """Cycles wait for the collector, which comes seldom: they would keep every stream's buffers."""
    over = asyncio.Event()

    async def answer(asked: Asked) -> None:
        await asked.say(STREAM + b"%x\r\n%b\r\n" % (len(DELTA), DELTA))
        await over.wait()

    door.service.answer = answer
    gc.collect()
    gc.disable()
    try:
        for _ in range(5):
            async with door.client.stream("GET", FEED) as left:
                await anext(left.aiter_bytes())
        left_over = 5
        for _ in range(100):
            left_over = sum(isinstance(one, Connection) for one in gc.get_objects())
            if not left_over:
                break
            await asyncio.sleep(0.05)
        assert left_over == 0
    finally:
        gc.enable()
        over.set()
