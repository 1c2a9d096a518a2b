"""PostgreSQL goes away under running services and comes back: nobody has to restart anything."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import httpx
import pytest
from conversing import Person
from installation import LEASE, Installation, newcomer, visitor
from model_server import ModelServer, Pause, Say, Step

from conversation_service.replies.stream import AWAY_WITHIN
from kit.testing import serve

pytestmark = pytest.mark.journey

SCRIPT: list[Step] = [step for n in range(30) for step in (Say(f"wörd{n} "), Pause(0.1))]
WHOLE = "".join(step.text for step in SCRIPT if isinstance(step, Say))
QUESTION = {"content": "What helps with a headache?"}
AWAY = [
    ("immediate", 0.2),
    pytest.param("fast", LEASE / 2, marks=pytest.mark.long),
    pytest.param("immediate", LEASE * 2.5, marks=pytest.mark.long),
    pytest.param("fast", AWAY_WITHIN + 6, marks=pytest.mark.long),
]
"""How PostgreSQL is stopped, and for how many seconds at least."""


@pytest.fixture
async def model(model_port: int) -> AsyncIterator[ModelServer]:
    """Says the script, slowly, to everybody."""
    server = ModelServer([SCRIPT])
    async with serve(server.app(), port=model_port):
        yield server


@asynccontextmanager
async def _database_away(house: Installation, mode: str, seconds: float) -> AsyncIterator[None]:
    """Stops it, runs the block, starts it when it was away for long enough."""
    await asyncio.to_thread(house.stop_database, mode)
    try:
        async with asyncio.timeout(60):
            back = asyncio.get_running_loop().time() + seconds
            yield
            await asyncio.sleep(back - asyncio.get_running_loop().time())
    finally:
        await asyncio.to_thread(house.start_database)


class Reading:
    """Somebody in the middle of a reply, with live updates open beside it."""

    def __init__(self, person: Person, path: str) -> None:
        self.person = person
        self.path = path
        self.ids: dict[str, str] = {}
        self.said = ""
        self.last = self.code = ""
        self.heard: list[Any] = []

    async def read(self) -> None:
        """Until the end, or until the stream is cut."""
        try:
            async with self.person.stream("POST", f"{self.path}/messages", json=QUESTION) as events:
                async for event in events:
                    self.last = event.event
                    if event.event == "error":
                        self.code = event.json()["code"]
                    if event.event == "message":
                        self.ids = event.json()
                    if event.event == "delta":
                        assert event.json()["offset"] == len(self.said)
                        self.said += event.json()["text"]
        except httpx.HTTPError:
            self.last = "cut"

    async def listen(self) -> None:
        """As a browser does: when the stream is cut it comes again after the last id."""
        while True:
            seen = {"last-event-id": self.heard[-1].id if self.heard else "0"}
            try:
                async with self.person.stream("GET", "/api/v1/events", headers=seen) as events:
                    async for event in events:
                        self.heard.append(event)
            except httpx.HTTPStatusError as error:
                _is_refusal(error.response)
            except httpx.HTTPError:
                pass  # it was cut
            await asyncio.sleep(0.2)


def _is_refusal(answer: httpx.Response) -> None:
    """The one honest answer of a service whose database is away."""
    assert answer.status_code == 503
    assert answer.headers["content-type"] == "application/problem+json"
    assert int(answer.headers["retry-after"]) >= 1


@pytest.mark.parametrize(("mode", "seconds"), AWAY)
async def test_away_while_a_reply_streams(
    with_model: Installation, model: ModelServer, mode: str, seconds: float
) -> None:
    async with AsyncExitStack() as stack:
        person = await stack.enter_async_context(newcomer(with_model.url))
        http = await stack.enter_async_context(visitor(with_model.url))
        it = Reading(person, await person.start("Headache"))
        reading, listening = asyncio.create_task(it.read()), asyncio.create_task(it.listen())
        async with asyncio.timeout(10):
            while len(it.said) < 20:
                await asyncio.sleep(0.02)
        stopped = time.monotonic()
        async with _database_away(with_model, mode, seconds):
            await _ask_for_everything(person, http)
            if seconds > AWAY_WITHIN:
                async with asyncio.timeout(AWAY_WITHIN + 8):
                    await reading
                assert (it.last, it.code) == ("error", "conversation.stream_cut")
        was_away = time.monotonic() - stopped
        await _works_again(person)
        await reading
        assert it.last in {"done", "error"}, "no reader is left with half a stream"
        reply = await _ended(it)
        assert reply["content"].startswith(it.said)
        assert WHOLE.startswith(reply["content"])
        assert reply["status"] in {"complete", "failed"}
        assert (reply["status"] == "complete") == (reply["content"] == WHOLE)
        if was_away < LEASE * 0.6:
            assert reply["status"] == "complete", "its writer had the lease all the time"
        model.scripts = [[Say("All is well.")]]
        answer = await person.send(it.path, "And now?")
        assert answer.json()["assistant_message"]["content"] == "All is well."
        await _hears_all_once(it)
        listening.cancel()
        await asyncio.gather(listening, return_exceptions=True)
        for service in ("gateway", "auth", "conversation"):
            ready = await http.get(f"{with_model.url_of(service)}/ready")
            assert ready.status_code == 200, ready.text


async def test_requests_that_are_under_way_are_refused_honestly(with_model: Installation) -> None:
    """Without a model: every message is answered at once, from the library."""
    async with AsyncExitStack() as stack:
        crowd = [await stack.enter_async_context(newcomer(with_model.url)) for _ in range(6)]
        answers: list[httpx.Response] = []
        busy = [asyncio.create_task(_live(person, answers)) for person in crowd]
        for mode in ("immediate", "fast"):
            await asyncio.sleep(0.6)
            async with _database_away(with_model, mode, 0.1):
                pass
        await asyncio.gather(*(_works_again(person) for person in crowd))
        await asyncio.sleep(0.3)
        for task in busy:
            assert not task.done()
            task.cancel()
        await asyncio.gather(*busy, return_exceptions=True)
    refused = [answer for answer in answers if answer.status_code >= 300]
    assert refused
    assert len(refused) < len(answers)
    for answer in refused:
        _is_refusal(answer)


async def _live(person: Person, answers: list[httpx.Response]) -> None:
    """Does everything that there is to do, again and again."""
    root = "/api/v1/conversations"
    while True:
        made = await person.http.post(root, json={"title": "x"})
        answers.append(made)
        answers.append(await person.http.put("/api/v1/profile", json={"locale": "en-GB"}))
        answers.append(await person.http.get("/api/v1/auth/me"))
        if made.status_code == 201:
            path = f"{root}/{made.json()['id']}"
            answers.append(await person.send(path, "What is flu?"))
            answers.append(await person.http.patch(path, json={"title": "y"}))
            answers.append(await person.http.get(f"{path}/messages"))
            answers.append(await person.http.get(root, params={"q": "flu"}))
            answers.append(await person.http.delete(path))


async def _ask_for_everything(person: Person, http: httpx.AsyncClient) -> None:
    """All at once, as from many people; each is refused in the same way."""
    key = {"idempotency-key": "away"}
    sent = {"email": "away@example.org", "password": "correct horse battery"}
    unknown = "/api/v1/conversations/7f1d2c9a-3f39-4c1c-9a55-2d1d0a5f6a01"
    asked = [
        person.http.get("/api/v1/auth/me"),
        person.http.get("/api/v1/profile"),
        person.http.get("/api/v1/conversations"),
        person.http.get("/api/v1/conversations", params={"q": "flu"}),
        person.http.post("/api/v1/conversations", json={}, headers=key),
        person.http.get(unknown),
        person.http.delete(unknown),
        person.http.post(f"{unknown}/messages", json=QUESTION, headers=key),
        person.http.post(
            f"{unknown}/messages", json=QUESTION, headers={"accept": "text/event-stream"}
        ),
        http.post("/api/v1/auth/login", json=sent),
        http.post("/api/v1/auth/register", json=sent),
        http.post("/api/v1/auth/refresh", json={"refresh_token": "x"}),
    ]
    for answer in await asyncio.gather(*asked):
        _is_refusal(answer)
    assert (await http.get("/health")).status_code == 200
    assert (await http.get("/ready")).status_code == 503
    assert (await person.http.get("/api/v1/library/stats")).status_code == 200


async def _works_again(person: Person) -> None:
    async with asyncio.timeout(10):
        while (answer := await person.http.get("/api/v1/conversations")).status_code != 200:
            _is_refusal(answer)
            await asyncio.sleep(0.1)
    assert (await person.http.get("/api/v1/auth/me")).status_code == 200


async def _ended(it: Reading) -> dict[str, Any]:
    async with asyncio.timeout(LEASE * 2 + 6):
        while (reply := (await it.person.messages(it.path))[-1])["status"] == "streaming":
            await asyncio.sleep(0.1)
    stream = f"{it.path}/messages/{it.ids['assistant_message_id']}/stream"
    rest = ""
    async with it.person.stream("GET", stream, params={"after": len(it.said)}) as events:
        async for event in events:
            if event.event == "delta":
                rest += event.json()["text"]
    assert it.said + rest == reply["content"]
    return reply


async def _hears_all_once(it: Reading) -> None:
    """The account, and both messages of both exchanges."""
    async with asyncio.timeout(10):
        while len(it.heard) < 5:
            await asyncio.sleep(0.05)
    await asyncio.sleep(0.3)
    assert [int(event.id) for event in it.heard] == [1, 2, 3, 4, 5]
    told = [e.json()["ref"]["message_id"] for e in it.heard if e.event == "message.created"]
    assert sorted(told) == sorted(message["id"] for message in await it.person.messages(it.path))
    assert [e.event for e in it.heard].count("account.registered") == 1
