"""Rooms of a real media server: joined by our tokens, told of by its webhooks, ended with us."""

import asyncio
import base64
import contextlib
import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from conversing import Person, Start, Visit
from livekit import api, rtc
from media_server import MediaServer
from pydantic import SecretStr
from speaking import SESSION, job

from kit.errors import Misconfigured
from kit.testing import SERVICE_SECRET, Served
from voice_service.settings import Settings

WORKER = Path(__file__).resolve().parents[2] / "tests" / "support" / "silent_worker.py"
AGENT = rtc.ParticipantKind.PARTICIPANT_KIND_AGENT
WEBHOOK = "/api/v1/voice/livekit"


@pytest.fixture
async def service(start: Start, with_media: Settings) -> Served:
    """One instance with a media server."""
    return await start(**_livekit(with_media))


def _livekit(settings: Settings) -> dict[str, Any]:
    names = ("livekit_url", "livekit_api_key", "livekit_api_secret")
    return {name: getattr(settings, name) for name in names}


async def make(person: Person, **body: Any) -> dict[str, Any]:
    answer = await person.http.post(SESSION, json=body)
    assert answer.status_code == 201, answer.text
    made: dict[str, Any] = answer.json()
    return made


async def until(check: Callable[[], Awaitable[bool]], within: float = 15) -> None:
    async with asyncio.timeout(within):
        while not await check():
            await asyncio.sleep(0.05)


async def status(person: Person, made: dict[str, Any]) -> dict[str, Any]:
    answer = await person.http.get(f"{SESSION}/{made['session_id']}/status")
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def reaches(person: Person, made: dict[str, Any], *wanted: str, within: float = 15) -> None:
    async def there() -> bool:
        return (await status(person, made))["status"] in wanted

    await until(there, within)


@asynccontextmanager
async def joined(url: str, token: str) -> AsyncIterator[rtc.Room]:
    room = rtc.Room()
    await room.connect(url, token)
    try:
        yield room
    finally:
        await room.disconnect()


@contextmanager
def working(media: MediaServer, voice_url: str) -> Iterator["subprocess.Popen[bytes]"]:
    """A worker process; it registers after some seconds."""
    process = subprocess.Popen(
        [sys.executable, "-m", "livekit.agents", "start", str(WORKER)],
        env={
            **os.environ,
            "LIVEKIT_URL": media.url,
            "LIVEKIT_API_KEY": media.key.name,
            "LIVEKIT_API_SECRET": media.key.secret,
            "VOICE_SERVICE_URL": voice_url,
            "SERVICE_TOKEN_SECRET": SERVICE_SECRET,
        },
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait(10)


async def test_callers_are_told_the_public_address(
    start: Start, visit: Visit, with_media: Settings
) -> None:
    public = "wss://media.example.org"
    served = await start(**_livekit(with_media), livekit_public_url=public)
    person = await visit(served)
    made = await make(person)
    assert made["livekit_url"] == public
    asked = {"room": made["room_name"], "identity": "me"}
    assert (await person.http.get("/token", params=asked)).json()["url"] == public


async def test_a_caller_joins_with_the_token_and_the_session_knows(
    alice: Person, media: MediaServer
) -> None:
    made = await make(alice)
    assert made["livekit_url"] == media.url
    claims = api.TokenVerifier(media.key.name, media.key.secret).verify(made["token"])
    assert claims.video is not None
    assert (claims.video.room, claims.video.room_join) == (made["room_name"], True)
    assert claims.video.room_admin is None
    assert claims.room_config is not None
    (dispatch,) = claims.room_config.agents
    assert dispatch.agent_name == "medbot"
    assert json.loads(dispatch.metadata)["session_id"] == made["session_id"]
    assert str(alice.actor.email) not in json.dumps(made)
    assert (await status(alice, made))["status"] == "created"
    async with joined(made["livekit_url"], made["token"]):
        await reaches(alice, made, "connecting")


async def test_an_agent_that_registers_late_still_comes(
    alice: Person, media: MediaServer, service: Served
) -> None:
    made = await make(alice)
    async with joined(made["livekit_url"], made["token"]) as room:
        await reaches(alice, made, "connecting")
        await asyncio.sleep(1)  # by now the job that came with the room is dropped
        with working(media, service.url):
            await reaches(alice, made, "active", within=25)
            async with asyncio.timeout(5):
                while [one.kind for one in room.remote_participants.values()] != [AGENT]:
                    await asyncio.sleep(0.05)


@pytest.mark.long
async def test_a_deleted_session_takes_its_room_and_agent_along(
    alice: Person, media: MediaServer, service: Served
) -> None:
    with working(media, service.url):
        made = await make(alice)
        async with joined(made["livekit_url"], made["token"]) as room:
            gone = asyncio.Event()
            room.on("disconnected", lambda *_: gone.set())
            await reaches(alice, made, "active", within=25)
            path = f"{SESSION}/{made['session_id']}"
            assert (await alice.http.delete(path)).status_code == 204
            async with asyncio.timeout(5):
                await gone.wait()
        async with api.LiveKitAPI(media.url, media.key.name, media.key.secret) as server:
            rooms = await server.room.list_rooms(api.ListRoomsRequest(names=[made["room_name"]]))
        assert list(rooms.rooms) == []
        assert (await alice.http.get(path)).json()["status"] == "ended"


async def test_a_killed_worker_fails_its_session_and_the_caller_hears_of_it(
    alice: Person, media: MediaServer, service: Served
) -> None:
    with working(media, service.url) as worker:
        made = await make(alice)
        async with joined(made["livekit_url"], made["token"]) as room:
            gone = asyncio.Event()
            room.on("disconnected", lambda *_: gone.set())
            await reaches(alice, made, "active", within=25)
            os.killpg(worker.pid, signal.SIGKILL)
            killed = time.monotonic()
            await reaches(alice, made, "failed", within=15)
            assert time.monotonic() - killed < 15
            async with asyncio.timeout(5):
                await gone.wait()


async def test_where_no_agent_ever_comes_the_session_fails(
    start: Start, with_media: Settings, visit: Visit, voice_port: int
) -> None:
    served = await start(**_livekit(with_media), voice_agent_seconds=2.0)
    alice = await visit(served)
    made = await make(alice)
    async with joined(made["livekit_url"], made["token"]):
        await reaches(alice, made, "failed", within=8)


async def test_the_end_of_a_room_ends_its_session(alice: Person, media: MediaServer) -> None:
    made = await make(alice)
    async with joined(made["livekit_url"], made["token"]):
        await reaches(alice, made, "connecting")
        async with api.LiveKitAPI(media.url, media.key.name, media.key.secret) as server:
            await server.room.delete_room(api.DeleteRoomRequest(room=made["room_name"]))
        await reaches(alice, made, "ended")


async def test_who_comes_after_the_end_is_sent_away(alice: Person, media: MediaServer) -> None:
    made = await make(alice)
    assert (await alice.http.delete(f"{SESSION}/{made['session_id']}")).status_code == 204
    await asyncio.sleep(1.5)  # the room has been looked for, and was not there
    async with joined(made["livekit_url"], made["token"]) as room:
        gone = asyncio.Event()
        room.on("disconnected", lambda *_: gone.set())
        async with asyncio.timeout(5):
            await gone.wait()


async def test_a_room_by_name_is_ones_own(alice: Person, bob: Person, media: MediaServer) -> None:
    asked = {"room": "kitchen", "identity": "me"}
    answers = [await person.http.get("/token", params=asked) for person in (alice, alice, bob)]
    assert [answer.status_code for answer in answers] == [200] * 3
    verify = api.TokenVerifier(media.key.name, media.key.secret).verify
    claims = [verify(answer.json()["token"]) for answer in answers]
    rooms = [claim.video.room for claim in claims if claim.video is not None]
    assert rooms[0] == rooms[1] != rooms[2]
    assert {claim.identity for claim in claims} == {"me"}
    listed = (await alice.http.get("/api/v1/voice/sessions")).json()["items"]
    assert [item["room_name"] for item in listed] == rooms[:1]
    answer = answers[0].json()
    async with joined(answer["url"], answer["token"]):
        await reaches(alice, listed[0], "connecting")
    await alice.http.delete(f"{SESSION}/{listed[0]['session_id']}")
    at_once = await asyncio.gather(*(alice.http.get("/token", params=asked) for _ in range(4)))
    again = {verify(answer.json()["token"]).video.room for answer in at_once}  # type: ignore[union-attr]
    assert len(again) == 1
    assert again.isdisjoint(rooms)


async def test_nobody_gets_a_token_for_anothers_room(
    alice: Person, bob: Person, media: MediaServer
) -> None:
    room = (await make(alice))["room_name"]
    verify = api.TokenVerifier(media.key.name, media.key.secret).verify
    for person, same in ((alice, True), (bob, False)):
        answer = await person.http.get("/token", params={"room": room, "identity": "me"})
        claims = verify(answer.json()["token"])
        assert claims.video is not None
        assert (claims.video.room == room) is same
    posing = await bob.http.get("/token", params={"room": "x", "identity": "agent-1"})
    assert posing.status_code == 422


def _signed(body: bytes, key: str, secret: str) -> str:
    digest = base64.b64encode(hashlib.sha256(body).digest()).decode()
    return api.AccessToken(key, secret).with_sha256(digest).to_jwt()


async def test_only_the_media_server_tells_of_rooms(
    alice: Person, media: MediaServer, service: Served
) -> None:
    made = await make(alice)
    event = {"event": "room_finished", "room": {"name": made["room_name"]}}
    body = json.dumps(event).encode()
    right = (media.key.name, media.key.secret)
    forged = [
        "",
        "x.y.z",
        _signed(body, right[0], "another secret of more than thirty-two characters"),
        _signed(body, "another-key", right[1]),
        _signed(b"{}", *right),
        api.AccessToken(*right).to_jwt(),
        made["token"],
    ]
    async with httpx.AsyncClient(base_url=service.url) as http:
        for authorization in forged:
            refused = await http.post(
                WEBHOOK, content=body, headers={"authorization": authorization}
            )
            assert (refused.status_code, refused.json()["code"]) == (401, "auth.invalid_token")
        assert (await status(alice, made))["status"] == "created"
        for _ in range(2):
            heard = await http.post(
                WEBHOOK, content=body, headers={"authorization": _signed(body, *right)}
            )
            assert heard.status_code == 204
        assert (await status(alice, made))["status"] == "ended"


async def test_an_earlier_room_of_the_same_name_ends_nothing(
    alice: Person, media: MediaServer, service: Served
) -> None:
    made = await make(alice)
    right = (media.key.name, media.key.secret)
    async with joined(made["livekit_url"], made["token"]) as room:
        await reaches(alice, made, "connecting")
        event: dict[str, Any] = {"event": "room_finished", "room": {"name": made["room_name"]}}
        async with httpx.AsyncClient(base_url=service.url) as http:
            for sid, then in (("RM_before", "connecting"), (await room.sid, "ended")):
                event["room"]["sid"] = sid
                body = json.dumps(event).encode()
                told = await http.post(
                    WEBHOOK, content=body, headers={"authorization": _signed(body, *right)}
                )
                assert told.status_code == 204
                assert (await status(alice, made))["status"] == then


async def test_while_one_job_runs_a_session_another_is_refused(
    alice: Person, service: Served
) -> None:
    made = await make(alice)
    async with (
        job(service, made["session_id"], "one") as one,
        job(service, made["session_id"], "two") as two,
    ):
        assert (await one.beat()).status_code == 204
        refused = await two.beat()
        assert (refused.status_code, refused.json()["code"]) == (409, "voice.session_taken")
        assert (await one.beat()).status_code == 204


async def test_a_media_server_that_is_away_holds_no_request_up(
    alice: Person, media: MediaServer, service: Served
) -> None:
    made = await make(alice)
    media.kill()
    assert (await alice.http.delete(f"{SESSION}/{made['session_id']}")).status_code == 204
    assert (await make(alice))["token"]
    ready = await alice.http.get("/ready")
    assert {row["name"]: row["ok"] for row in ready.json()["checks"]}["media server"] is False


async def test_a_media_server_needs_its_key(with_media: Settings) -> None:
    with pytest.raises(Misconfigured, match="LIVEKIT_API_KEY"):
        Settings(livekit_url="ws://127.0.0.1:1", livekit_api_secret=SecretStr("x" * 40))
