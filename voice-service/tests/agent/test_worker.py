"""The worker as a process of its own, in a room of a real media server."""

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import httpx
import numpy as np
import offline_model
import pytest
from calling import speech
from livekit import api, rtc
from media_server import MediaServer, media_server
from providers import Cloud
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from talking import plan

import tokens
from contracts.voice import Changes, Plan
from kit.testing import SERVICE_SECRET, serve
from kit.testing.ports import free_port
from voice_service.agent.settings import Speaking
from voice_service.offline import opening

FOLDER = Path(__file__).resolve().parents[2]
REGISTERS_WITHIN = 90.0


@dataclass
class Desk:
    """What a worker asks of the voice service, over HTTP."""

    plan: Plan
    turns: list[dict[str, Any]] = field(default_factory=list)
    beats: list[dict[str, Any]] = field(default_factory=list)
    refuses: int = 0
    """Calls that are answered 503 before turns are taken."""
    job: str = ""
    """Who runs the session; another is refused."""
    gone: bool = False
    """Whether nobody knows of the session any more."""
    plans: int = 0
    refused: int = 0

    async def _serve(self, request: Request) -> Response:
        bearer = request.headers["authorization"].removeprefix("Bearer ")
        tokens.verify_service(bearer, SERVICE_SECRET, audience="voice", now=datetime.now(UTC))
        assert UUID(request.path_params["session_id"]) == self.plan.session_id
        what = request.path_params.get("what", "")
        if self.gone:
            return Response(status_code=404)
        if what == "":
            self.plans += 1
            return Response(self.plan.model_dump_json(), media_type="application/json")
        if what == "changes":
            await asyncio.sleep(5)
            return JSONResponse(Changes().model_dump(mode="json"))
        if what == "heartbeat":
            beat = await request.json()
            self.job = self.job or beat["job"]
            if beat["job"] != self.job:
                self.refused += 1
                return JSONResponse({"code": "voice.session_taken"}, status_code=409)
            self.beats.append(beat)
            return Response(status_code=204)
        if self.refuses:
            self.refuses -= 1
            return Response(status_code=503)
        turn = await request.json()
        if not turn.get("open"):
            self.turns.append(turn)
        return Response(status_code=204)

    def app(self) -> Starlette:
        base = "/internal/sessions/{session_id}"
        routes = [
            Route(base, self._serve),
            Route(base + "/{what:path}", self._serve, methods=["GET", "PUT"]),
        ]
        return Starlette(routes=routes)


@dataclass
class Process:
    """A worker that was started."""

    process: "subprocess.Popen[bytes]"
    log: Path
    port: int

    async def ready(self, wanted: int = 200, within: float = REGISTERS_WITHIN) -> None:
        """Waits until it is registered, or until it answers what is wanted."""
        async with asyncio.timeout(within), httpx.AsyncClient(trust_env=False) as http:
            while True:
                assert self.process.poll() is None, self.log.read_text()[-3000:]
                with contextlib.suppress(httpx.HTTPError):
                    answer = await http.get(f"http://127.0.0.1:{self.port}/ready")
                    if answer.status_code == wanted:
                        return
                await asyncio.sleep(0.2)


@pytest.fixture
def index_dir(index_dir: Path) -> Path:
    """The data of a worker, with the model of offline voice."""
    if not (index_dir / offline_model.NAME).exists():
        offline_model.put_into(index_dir)
    return index_dir


@pytest.fixture
def media() -> Iterator[MediaServer]:
    """A media server."""
    with media_server("http://127.0.0.1:9/nobody") as server:
        yield server


@contextmanager
def _worker(
    media: MediaServer, voice: str, cloud: str, data_dir: Path, folder: Path, **told: str
) -> Iterator[Process]:
    port, log = free_port(), folder / "worker.log"
    env = {
        **os.environ,
        "LIVEKIT_URL": media.url,
        "LIVEKIT_API_KEY": media.key.name,
        "LIVEKIT_API_SECRET": media.key.secret,
        "VOICE_SERVICE_URL": voice,
        "SERVICE_TOKEN_SECRET": SERVICE_SECRET,
        "DATABASE_URL": "postgresql://nobody:none@127.0.0.1:9/none",
        "OPENAI_API_KEY": "sk-test",
        "OPENAI_BASE_URL": f"{cloud}/v1",
        "DATA_DIR": str(data_dir),
        "VOICE_AGENT_PORT": str(port),
        "VOICE_TURN_DETECTION": "vad",
        "LIVEKIT_AGENT_NAME_OVERRIDE": "somebody-else",
        **told,
    }
    command = [sys.executable, "-m", "livekit.agents", "start", "voice_service/agent/worker.py"]
    with log.open("wb") as out:
        process = subprocess.Popen(command, cwd=FOLDER, env=env, stdout=out, stderr=out)
    try:
        yield Process(process, log, port)
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(40)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(10)


class _Caller:
    """Somebody in a room, with a microphone."""

    def __init__(self, room: rtc.Room) -> None:
        self.room = room
        self.loud = 0
        self.words: dict[str, str] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._source = rtc.AudioSource(16_000, 1)
        room.on("track_subscribed", self._subscribed)
        room.register_text_stream_handler("lk.transcription", self._transcript)

    async def publish(self) -> None:
        track = rtc.LocalAudioTrack.create_audio_track("mic", self._source)
        options = rtc.TrackPublishOptions(source=rtc.TrackSource.SOURCE_MICROPHONE)
        await self.room.local_participant.publish_track(track, options)

    async def say(self, words: str) -> None:
        pcm = bytes(16_000) + await asyncio.to_thread(speech, words) + bytes(32_000)
        for start in range(0, len(pcm) - 320, 320):
            frame = rtc.AudioFrame(pcm[start : start + 320], 16_000, 1, 160)
            await self._source.capture_frame(frame)

    def _subscribed(self, track: rtc.Track, *_: Any) -> None:
        self._spawn(self._listen(track))

    def _transcript(self, reader: rtc.TextStreamReader, identity: str) -> None:
        self._spawn(self._read(reader))

    async def _read(self, reader: rtc.TextStreamReader) -> None:
        segment = (reader.info.attributes or {}).get("lk.segment_id", "")
        async for piece in reader:
            self.words[segment] = self.words.get(segment, "") + piece

    async def _listen(self, track: rtc.Track) -> None:
        async for event in rtc.AudioStream(track):
            samples = np.frombuffer(bytes(event.frame.data), dtype=np.int16).astype(np.float64)
            self.loud += int(np.sqrt((samples**2).mean()) > 500)

    def _spawn(self, work: Any) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


@contextlib.asynccontextmanager
async def _called(media: MediaServer, session_id: UUID) -> AsyncIterator[_Caller]:
    """A caller in a new room that the agent is asked into twice."""
    dispatch = api.RoomAgentDispatch(
        agent_name="medbot", metadata=json.dumps({"session_id": str(session_id)})
    )
    token = (
        api.AccessToken(media.key.name, media.key.secret)
        .with_identity("sam")
        .with_grants(api.VideoGrants(room_join=True, room=f"room-{uuid4()}"))
        .with_room_config(api.RoomConfiguration(agents=[dispatch, dispatch]))
        .to_jwt()
    )
    room = rtc.Room()
    caller = _Caller(room)
    await room.connect(media.url, token)
    try:
        await caller.publish()
        yield caller
    finally:
        await room.disconnect()


async def _until(holds: Any, within: float) -> None:
    until = time.monotonic() + within
    while not holds():
        assert time.monotonic() < until, "it did not come"
        await asyncio.sleep(0.1)


@pytest.mark.long
async def test_a_worker_that_lost_the_media_server_is_not_ready_until_it_is_known_again(
    media: MediaServer, cloud: Cloud, index_dir: Path, tmp_path: Path
) -> None:
    nowhere = "http://127.0.0.1:9"
    with _worker(media, nowhere, nowhere, index_dir, tmp_path) as worker:
        await worker.ready()
        media.kill()
        async with asyncio.timeout(20), httpx.AsyncClient(trust_env=False) as http:
            while (await http.get(f"http://127.0.0.1:{worker.port}/ready")).status_code != 503:
                await asyncio.sleep(0.1)
        media.begin()
        await worker.ready()


async def test_a_caller_in_a_room_is_greeted_heard_and_answered(
    media: MediaServer, cloud: Cloud, index_dir: Path, tmp_path: Path
) -> None:
    asked = "what helps against a cold"
    cloud.speech.hears = [asked]
    desk = Desk(plan("cascade", greeted=False, channel="voice"), refuses=2)
    async with serve(desk.app()) as voice, serve(cloud.app()) as provider:
        with _worker(media, voice.url, provider.url, index_dir, tmp_path) as worker:
            await worker.ready()
            async with _called(media, desk.plan.session_id) as caller:
                await _until(lambda: caller.loud, within=30)
                await _until(lambda: desk.turns, within=30)
                await caller.say(asked)
                await _until(lambda: len(desk.turns) >= 3, within=30)
                said = " ".join(caller.words.values())
            await _until(lambda: desk.beats[-1].get("ended"), within=30)
        assert worker.process.returncode == 0, worker.log.read_text()[-3000:]
        log = worker.log.read_text()
    assert (desk.plans, desk.refused) == (1, 1)
    assert [turn["seq"] for turn in desk.turns] == [1, 2, 3]
    assert [turn["role"] for turn in desk.turns] == ["assistant", "user", "assistant"]
    assert desk.turns[1]["text"] == asked
    assert "Rest and drink plenty of water." in desk.turns[2]["text"]
    assert "Rest and drink plenty of water." in said
    assert desk.beats[-1]["ended"] == "caller_left"
    assert asked not in log
    assert "Rest and drink" not in log
    lines = [json.loads(line) for line in log.splitlines()]
    events = [line.get("event") for line in lines]
    assert None not in events[events.index("worker.registered") :]
    waited = lines[events.index("turn.waiting")]
    assert (waited["reason"], len(waited["trace_id"])) == ("503", 32)


async def test_a_worker_that_is_told_to_stop_lets_its_call_go_on(
    media: MediaServer, cloud: Cloud, index_dir: Path, tmp_path: Path
) -> None:
    asked = "what helps against a cold"
    cloud.speech.hears = [asked]
    desk = Desk(plan("cascade", greeted=False, channel="voice"))
    async with serve(desk.app()) as voice, serve(cloud.app()) as provider:
        with _worker(media, voice.url, provider.url, index_dir, tmp_path) as worker:
            await worker.ready()
            async with _called(media, desk.plan.session_id) as caller:
                await _until(lambda: desk.turns, within=30)
                worker.process.send_signal(signal.SIGTERM)
                await worker.ready(503, within=10)
                await caller.say(asked)
                await _until(lambda: len(desk.turns) >= 3, within=30)
                await worker.ready(503, within=5)
            assert await asyncio.to_thread(worker.process.wait, 40) == 0
    assert "Rest and drink plenty of water." in desk.turns[2]["text"]
    assert desk.beats[-1]["ended"] == "caller_left"


@pytest.mark.long
async def test_the_room_of_a_session_that_is_gone_is_closed(
    media: MediaServer, cloud: Cloud, index_dir: Path, tmp_path: Path
) -> None:
    desk = Desk(plan("cascade", greeted=False, channel="voice"))
    left = asyncio.Event()
    async with serve(desk.app()) as voice, serve(cloud.app()) as provider:
        with _worker(media, voice.url, provider.url, index_dir, tmp_path) as worker:
            await worker.ready()
            async with _called(media, desk.plan.session_id) as caller:
                caller.room.on("disconnected", lambda *_: left.set())
                await _until(lambda: desk.turns, within=30)
                desk.gone = True
                await asyncio.wait_for(left.wait(), 15)


async def test_a_worker_with_as_many_calls_as_it_may_have_takes_no_other(
    media: MediaServer, cloud: Cloud, index_dir: Path, tmp_path: Path
) -> None:
    desk = Desk(plan("cascade", greeted=False, channel="voice"))
    most = {"VOICE_AGENT_MAX_JOBS": "1"}
    async with serve(desk.app()) as voice, serve(cloud.app()) as provider:
        with _worker(media, voice.url, provider.url, index_dir, tmp_path, **most) as worker:
            await worker.ready()
            async with _called(media, desk.plan.session_id) as caller:
                await _until(lambda: desk.turns, within=30)
                await _dispatched(media, caller.room.name, desk.plan.session_id)
                await asyncio.sleep(4)
            await _until(lambda: desk.beats[-1].get("ended"), within=30)
    assert (desk.plans, desk.refused) == (1, 0), "another job would have asked and been refused"


async def _dispatched(media: MediaServer, room: str, session_id: UUID) -> None:
    """Asks for one more agent."""
    key = (media.url, media.key.name, media.key.secret)
    async with api.LiveKitAPI(*key) as server:
        await server.agent_dispatch.create_dispatch(
            api.CreateAgentDispatchRequest(
                agent_name="medbot", room=room, metadata=json.dumps({"session_id": str(session_id)})
            )
        )


@pytest.mark.long
async def test_the_model_of_offline_voice_is_built_without_a_call(
    media: MediaServer, cloud: Cloud, tmp_path: Path
) -> None:
    nowhere, data_dir = "http://127.0.0.1:9", tmp_path / "data"
    data_dir.mkdir()
    wanted = opening.folder_of(Speaking(data_dir=data_dir))
    with _worker(media, nowhere, nowhere, data_dir, tmp_path) as worker:
        await worker.ready()
        await _until(wanted.is_dir, within=400)
