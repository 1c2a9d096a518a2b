"""A made-up diagnosis, sent by every way there is, shows in its person's own answers alone."""

import asyncio
import json
import re
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import httpx
import pytest
import shots
from conversing import Person
from diagnosis import (
    SERVICES,
    WORD,
    Watch,
    fire,
    forged,
    model,
    nothing_shows,
    own_things,
)
from installation import Installation, newcomer, visitor
from model_server import Cut, Pause, Say
from shots import Operation, Shot
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

pytestmark = pytest.mark.journey

ENDING = re.compile(
    r"^(DELETE /api/v1/auth/me$|POST /api/v1/auth/logout|DELETE .*sessions|POST .*password)"
)
"""Calls that end their caller's session: they come last."""


async def documents(house: Installation) -> dict[str, Mapping[str, Any]]:
    """The interface of every service, and of the gateway, as they tell it."""
    found = {}
    async with httpx.AsyncClient(timeout=30) as http:
        for name in ("gateway", *SERVICES):
            found[name] = (await http.get(f"{house.url_of(name)}/openapi.json")).json()
    return found


async def walk(
    house: Installation, person: Person, door: str, found: list[Operation], watch: Watch
) -> None:
    """Sends everything to every call that `door` knows, as one person."""
    known = await own_things(person)
    headers = {"authorization": person.http.headers["authorization"]}
    async with httpx.AsyncClient(
        base_url=house.url_of(door), timeout=30, headers=headers, trust_env=False
    ) as http:
        for operation in sorted(found, key=lambda each: bool(ENDING.fullmatch(each.name))):
            for shot in shots.shots(operation, WORD, known):
                await fire(http, door, shot, watch)
            bare = Shot("token", operation.method, operation.path)
            for token in forged():
                given = {"authorization": f"Bearer {token}"}
                refused = Shot("token", bare.method, bare.path, {}, given)
                await fire(http, door, refused, watch)


@pytest.mark.parametrize(
    "door", ["gateway", *(pytest.param(s, marks=pytest.mark.long) for s in SERVICES)]
)
async def test_every_call_of_every_service(
    house: Installation, model_at: int, watching: None, door: str
) -> None:
    watch = Watch()
    async with model(house, model_at, Say("It helps to rest.")), newcomer(house.url) as person:
        found = list(shots.operations((await documents(house))[door]))
        assert len(found) > 5
        await walk(house, person, door, found, watch)
    assert watch.sent > 10 * len(found)
    assert {200, 401, 404, 422} <= watch.statuses
    assert sorted(watch.leaks) == []
    await nothing_shows(house)


async def test_rows_that_the_database_refuses(house: Installation, watching: None) -> None:
    """Its own log would quote the row, or the key that was there before."""
    async with visitor(house.url) as http:
        account = {"email": f"{WORD}@example.org", "password": f"{WORD}-password"}
        answers = [await http.post("/api/v1/auth/register", json=account) for _ in range(2)]
        assert [answer.status_code for answer in answers] == [201, 409]
        assert "duplicate key" in (house.data_dir / "postgres" / "log").read_text()
        token = answers[0].json()["session"]["access_token"]
        http.headers["authorization"] = f"Bearer {token}"
        again = {"idempotency-key": WORD}
        made = [
            await http.post("/api/v1/conversations", json={"title": WORD}, headers=again)
            for _ in range(2)
        ]
        path = f"/api/v1/conversations/{made[0].json()['id']}/messages"
        sent = [http.post(path, json={"content": f"{WORD} {n}"}) for n in range(4)]
        assert {answer.status_code for answer in await asyncio.gather(*sent)} <= {201, 409, 503}
    await nothing_shows(house)


FRAMES: tuple[Any, ...] = (
    {"event": "audio", "audio": WORD},
    {"event": WORD},
    {"type": "text", "text": f"I have {WORD}."},
    {"type": "control", "action": WORD},
    {"type": "audio", "data": WORD},
    {WORD: {WORD: [WORD]}},
    [WORD],
    WORD,
)


async def shout(url: str, **how: Any) -> list[str]:
    """Sends everything over a socket; the errors that came back, and why it was closed."""
    heard: list[str] = []
    try:
        async with connect(url, open_timeout=20, **how) as socket:
            frames: list[str | bytes] = [*map(json.dumps, FRAMES), f'{{"text": "{WORD}']
            for frame in [*frames, WORD.encode()]:
                await socket.send(frame)
            with suppress(TimeoutError):
                async with asyncio.timeout(2):
                    async for message in socket:
                        said = json.loads(message)
                        if "error" in (said.get("event"), said.get("type")):
                            heard.append(str(message))
    except InvalidStatus as refused:
        heard += [f"{refused.response.headers}", f"{refused.response.body!r}"]
    except ConnectionClosed as closed:
        heard.append(str(closed))
    return heard


async def test_every_socket(house: Installation, watching: None) -> None:
    async with newcomer(house.url) as person:
        token = person.http.headers["authorization"].removeprefix("Bearer ")
        made = await person.http.post("/api/v1/voice/session", json={"metadata": {"why": WORD}})
        assert made.status_code == 201, made.text
        session, root = made.json()["session_id"], house.url.replace("http", "ws", 1)
        heard: list[str] = []
        for path in (
            "/ws/voice",
            f"/api/v1/voice/session/{session}/ws",
            f"/ws/transcript/{session}",
            f"/ws/transcript/{WORD}",
            f"/api/v1/voice/session/{WORD}/ws",
        ):
            heard += await shout(f"{root}{path}?token={token}&more={WORD}")
            heard += await shout(f"{root}{path}?token={WORD}")
            heard += await shout(f"{root}{path}", subprotocols=["bearer", WORD])
    assert heard
    assert [each for each in heard if WORD in each.lower()] == []
    await nothing_shows(house)


async def test_a_model_that_breaks_off_with_it_on_its_lips(
    house: Installation, model_at: int, watching: None
) -> None:
    async with (
        model(house, model_at, Say(f"You have {WORD}, "), Pause(0.2), Cut()) as server,
        newcomer(house.url) as person,
    ):
        path = await person.start()
        answer = await person.send(path, f"I have {WORD}. What helps?")
        assert answer.status_code == 503
        assert WORD not in answer.text
        assert server.requests
    await nothing_shows(house)


async def test_a_database_that_dies_while_it_is_being_said(
    house: Installation, model_at: int, watching: None
) -> None:
    script = [step for n in range(60) for step in (Say(f"{WORD} {n} "), Pause(0.05))]
    async with model(house, model_at, *script), newcomer(house.url) as person:
        path = await person.start(WORD)
        asking = asyncio.create_task(person.send(path, f"I have {WORD}."))
        await asyncio.sleep(1)
        await asyncio.to_thread(house.stop_database, "immediate")
        away = [
            await person.http.post("/api/v1/conversations", json={"title": WORD}),
            await person.http.get("/api/v1/conversations", params={"q": WORD}),
        ]
        await asyncio.to_thread(house.start_database)
        await asyncio.gather(asking, return_exceptions=True)
        for answer in away:
            assert answer.status_code >= 500
            assert WORD not in answer.text
    await nothing_shows(house)


async def test_a_process_that_is_killed_while_it_is_being_said(
    house: Installation, model_at: int, watching: None
) -> None:
    script = [step for n in range(60) for step in (Say(f"{WORD} {n} "), Pause(0.05))]
    async with model(house, model_at, *script), newcomer(house.url) as person:
        path = await person.start(WORD)
        asking = asyncio.create_task(person.send(path, f"I have {WORD}."))
        await asyncio.sleep(1)
        said = house.up
        await asyncio.to_thread(house.kill)
        await asyncio.gather(asking, return_exceptions=True)
        assert said is not None
        assert WORD not in said.said.lower()
        await asyncio.to_thread(house.begin)
        async with asyncio.timeout(15):
            while (await person.messages(path))[-1]["status"] == "streaming":
                await asyncio.sleep(0.1)
    await nothing_shows(house)
