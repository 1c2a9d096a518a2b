"""A socket's way out is bounded, and its way in no faster than speech for long."""

import asyncio
import base64
import os
import time

import pytest
from bare_sockets import OpenSockets
from calling import calling
from fastapi import FastAPI, WebSocket
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from kit.testing import serve
from voice_service.sockets import messages
from voice_service.sockets.intake import BURST, Intake
from voice_service.sockets.lines import Line


async def test_a_reader_that_does_not_read_is_hung_up_on_and_told_why() -> None:
    app = FastAPI()
    waiting: list[int] = []
    hung_up = asyncio.Event()
    data = base64.b64encode(os.urandom(45_000)).decode()

    @app.websocket("/")
    async def flood(socket: WebSocket) -> None:
        await socket.accept()
        line = Line(socket)

        async def pour() -> None:
            while line.open:
                line.send(messages.SpeechOut(data=data))
                waiting.append(line.waiting)
                await asyncio.sleep(0.001)
            hung_up.set()

        async def ignore(_: str) -> None:
            """What it says does not matter."""

        pouring = asyncio.create_task(pour())
        await line.carry(ignore)
        await pouring

    async with (
        serve(app) as served,
        connect(served.url.replace("http", "ws"), max_size=None, max_queue=2) as client,
    ):
        async with asyncio.timeout(60):
            await hung_up.wait()
        with pytest.raises(ConnectionClosed):
            while True:
                await client.recv()
        assert client.close_code == 4431
    assert max(waiting) < 1_200_000


async def test_speech_that_comes_too_fast_waits_at_the_sender() -> None:
    now = 0.0
    intake = Intake(16_000, clock=lambda: now)
    second = bytes(32_000)
    for _ in range(round(BURST)):
        intake.push(second)
    assert intake.excess == 0
    intake.push(second)
    assert intake.excess == 1
    now = 1.0
    assert intake.excess == 0


async def test_who_was_silent_for_long_has_saved_no_more_than_one_burst_more() -> None:
    now = 1000.0
    intake = Intake(16_000, clock=lambda: now)
    now = 2000.0
    assert intake.excess == 0
    for _ in range(round(2 * BURST)):
        intake.push(bytes(32_000))
    assert intake.excess == 0
    intake.push(bytes(32_000))
    assert intake.excess == 1


@pytest.mark.long
async def test_speech_that_comes_all_at_once_is_held_back(open_sockets: OpenSockets) -> None:
    sockets = await open_sockets()
    async with calling(sockets.voice) as caller:
        await caller.wait_for("ready")
        began = time.monotonic()
        await caller.say(bytes(32_000 * 12), at_once=True)
        await caller.send({"event": "unknown"})
        await caller.wait_for("error")
        assert time.monotonic() - began > 1.5
