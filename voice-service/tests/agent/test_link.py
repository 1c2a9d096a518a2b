"""The voice service from another process."""

import asyncio
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from uuid import uuid4

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from talking import plan

import tokens
from contracts.voice import Heartbeat, SpokenTurn
from kit.testing import SERVICE_SECRET, serve
from kit.testing.ports import free_port
from telemetry import Telemetry, catalogue
from voice_service.agent import beginning
from voice_service.agent.link_http import Away, HttpLink, open_http
from voice_service.agent.ports import SessionGone, SessionLost

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


async def test_a_session_that_is_gone_is_told_apart_from_another_s(
    link: tuple[HttpLink, int],
) -> None:
    made, port = link
    async with serve(Service([404, 409]).app(), port=port):
        with pytest.raises(SessionGone):
            await made.beat(Heartbeat(agent_state="listening"))
        with pytest.raises(SessionLost) as lost:
            await made.beat(Heartbeat(agent_state="listening"))
    assert not isinstance(lost.value, SessionGone)


@dataclass
class _Planning:
    """Takes signs of life; plans once it `knows`, and hangs until then or says that it is away."""

    hangs: bool
    knows: asyncio.Event = field(default_factory=asyncio.Event)
    beats: list[float] = field(default_factory=list)

    async def _serve(self, request: Request) -> Response:
        if request.method == "PUT":
            self.beats.append(time.monotonic())
            return Response(status_code=204)
        if self.hangs:
            await self.knows.wait()
        if not self.knows.is_set():
            return Response(status_code=503)
        wanted = plan("cascade", session_id=SESSION)
        return Response(wanted.model_dump_json(), media_type="application/json")

    def app(self) -> Starlette:
        base = f"/internal/sessions/{SESSION}"
        beat = Route(base + "/heartbeat", self._serve, methods=["PUT"])
        return Starlette(routes=[Route(base, self._serve), beat])


@pytest.mark.parametrize("hangs", [True, False])
async def test_a_job_that_cannot_learn_its_session_yet_shows_signs_of_life_and_asks_again(
    link: tuple[HttpLink, int], hangs: bool
) -> None:
    made, port = link
    service = _Planning(hangs)
    async with serve(service.app(), port=port):
        learning = asyncio.create_task(beginning.learn(made, beats=0.2))
        await asyncio.sleep(6)
        assert not learning.done()
        assert len(service.beats) >= 10
        service.knows.set()
        assert (await asyncio.wait_for(learning, 5)).session_id == SESSION
        shown = len(service.beats)
        await asyncio.sleep(0.5)
        assert len(service.beats) == shown


async def test_a_job_that_learns_nothing_gives_up(link: tuple[HttpLink, int]) -> None:
    made, port = link
    with pytest.raises(Away):
        await beginning.learn(made, within=1.5)
    async with serve(_Planning(hangs=False).app(), port=port):
        with pytest.raises(Away):
            await beginning.learn(made, within=1.5)
    async with serve(Service([503, 409]).app(), port=port):
        with pytest.raises(SessionLost):
            await beginning.learn(made)


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
