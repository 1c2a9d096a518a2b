"""Where a worker says whether it may be sent calls."""

import asyncio

import httpx
import pytest
from livekit.agents import AgentServer

from kit.testing.ports import free_port
from voice_service.agent.readiness import Readiness


@pytest.mark.parametrize(
    ("host", "asked"),
    [("::", "127.0.0.1"), ("::", "[::1]"), ("127.0.0.1", "127.0.0.1")],
)
async def test_it_answers_at_every_address_that_it_listens_at(host: str, asked: str) -> None:
    server, port = AgentServer(port=0), free_port()
    told = Readiness(server, host, port)
    server.emit("worker_started")
    try:
        async with httpx.AsyncClient(trust_env=False) as http, asyncio.timeout(5):
            assert await answer(http, f"http://{asked}:{port}/ready") == 503
            server.emit("worker_registered", "worker-1", None)
            assert await answer(http, f"http://{asked}:{port}/ready") == 200
    finally:
        await told.aclose()


async def answer(http: httpx.AsyncClient, url: str) -> int:
    while True:
        try:
            return (await http.get(url)).status_code
        except httpx.ConnectError:
            await asyncio.sleep(0.05)
