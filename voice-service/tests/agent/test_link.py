"""The voice service from another process."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from uuid import uuid4

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

import tokens
from contracts.voice import Heartbeat, SpokenTurn
from kit.testing import SERVICE_SECRET, serve
from kit.testing.serving import free_port
from telemetry import Telemetry, catalogue
from voice_service.agent.link_http import Away, HttpLink, open_http
from voice_service.agent.ports import SessionLost

SESSION = uuid4()


@dataclass
class Service:
    """Answers with these statuses in turn, the last one for ever."""

    statuses: list[int] = field(default_factory=lambda: [204])
    bodies: list[dict[str, object]] = field(default_factory=list)

    async def _serve(self, request: Request) -> Response:
        bearer = request.headers["authorization"].removeprefix("Bearer ")
        tokens.verify_service(bearer, SERVICE_SECRET, audience="voice", now=datetime.now(UTC))
        status = self.statuses.pop(0) if len(self.statuses) > 1 else self.statuses[0]
        if request.method == "GET":
            return JSONResponse({"cursor": "7"}, status_code=status)
        if status == 204:
            self.bodies.append(await request.json())
        return Response(status_code=status)

    def app(self) -> Starlette:
        path = f"/internal/sessions/{SESSION}" + "/{what:path}"
        return Starlette(routes=[Route(path, self._serve, methods=["GET", "PUT"])])


def _turn(seq: int) -> SpokenTurn:
    now = datetime.now(UTC)
    return SpokenTurn(seq=seq, role="user", text=f"turn {seq}", started_at=now, ended_at=now)


@pytest.fixture
async def link() -> AsyncIterator[tuple[HttpLink, int]]:
    """A link to a port where nothing is yet."""
    port = free_port()
    async with open_http(f"http://127.0.0.1:{port}") as http:
        made = HttpLink(
            http, SESSION, secret=SERVICE_SECRET, job="job-1", now=lambda: datetime.now(UTC)
        )
        yield made, port


async def test_a_turn_is_sent_until_it_is_taken(link: tuple[HttpLink, int]) -> None:
    made, port = link
    service = Service([503, 429, 401, 204])
    recording = asyncio.create_task(made.record(_turn(1)))
    await asyncio.sleep(0.3)
    assert not recording.done()
    async with serve(service.app(), port=port):
        await asyncio.wait_for(recording, 15)
    assert [body["seq"] for body in service.bodies] == [1]


async def test_a_turn_that_can_never_be_taken_holds_nothing_up(link: tuple[HttpLink, int]) -> None:
    made, port = link
    service = Service([409, 204])
    async with serve(service.app(), port=port):
        await made.record(_turn(1))
        await made.record(_turn(2))
    assert [body["seq"] for body in service.bodies] == [2]


async def test_a_beat_names_the_job_and_hears_of_the_end(link: tuple[HttpLink, int]) -> None:
    made, port = link
    service = Service([204, 409])
    async with serve(service.app(), port=port):
        await made.beat(Heartbeat(agent_state="listening"))
        with pytest.raises(SessionLost):
            await made.beat(Heartbeat(agent_state="listening"))
    assert service.bodies[0]["job"] == "job-1"


async def test_what_fell_back_is_told_once_and_again_where_it_was_not_taken(
    link: tuple[HttpLink, int],
) -> None:
    made, port = link
    service = Service([503, 204])
    Telemetry("agent").enter()
    catalogue.FALLBACKS.add("openai", "timeout")
    async with serve(service.app(), port=port):
        with pytest.raises(Away):
            await made.beat(Heartbeat(agent_state="thinking"))
        catalogue.FALLBACKS.add("openai", "timeout")
        catalogue.FALLBACKS.add("elevenlabs", "401")
        await asyncio.gather(*(made.beat(Heartbeat(agent_state="speaking")) for _ in range(3)))
        catalogue.FALLBACKS.add("openai", "timeout")
        await made.beat(Heartbeat(agent_state="listening"))
    told = [body["fallbacks"] for body in service.bodies]
    both = [
        {"part": "openai", "reason": "timeout", "times": 2},
        {"part": "elevenlabs", "reason": "401", "times": 1},
    ]
    assert sorted(told[:3], key=str) == [[], [], both]
    assert told[3] == [{"part": "openai", "reason": "timeout", "times": 1}]


async def test_changes_come_with_their_cursor(link: tuple[HttpLink, int]) -> None:
    made, port = link
    with pytest.raises(Away):
        await made.changes("")
    async with serve(Service([200]).app(), port=port):
        assert (await made.changes("")).cursor == "7"
