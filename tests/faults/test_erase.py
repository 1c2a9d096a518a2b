"""Erasing somebody at the worst moments: afterwards nothing of them is anywhere."""

import asyncio
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import UUID

import asyncpg
import httpx
import pytest
import scanning
from conversing import Person
from model_server import ModelServer, Pause, Say, Step
from pydantic import SecretStr
from starlette.types import ASGIApp

import auth_service.testing
import conversation_service.main
import conversation_service.settings
import voice_service.main
import voice_service.settings
from auth_service.testing import PASSWORD, SERVICE_SECRET
from contracts.events import UserRegistered
from kit import outbox
from kit.database import Database, utc_now
from kit.identity import Actor
from kit.testing import Addresses, serve
from kit.testing.serving import free_port

pytestmark = pytest.mark.journey

EMAIL = "wilhelmina.quackenbush@example.org"
NAME = "Wilhelmina Quackenbush"
WORD = "xylophobia"
SLOW: list[Step] = [step for n in range(100) for step in (Say(f"{WORD} {n} "), Pause(0.05))]


@dataclass
class House:
    """The services that keep rows of people, each to be started and stopped alone."""

    addresses: Addresses
    data_dir: Path
    ports: dict[str, int] = field(
        default_factory=lambda: {
            name: free_port() for name in ("auth", "conversation", "voice", "model")
        }
    )
    running: dict[str, AsyncExitStack] = field(default_factory=dict)

    def url(self, name: str) -> str:
        return f"http://127.0.0.1:{self.ports[name]}"

    def _shared(self) -> dict[str, Any]:
        return {
            "database_url": SecretStr(self.addresses.service),
            "service_token_secret": SecretStr(SERVICE_SECRET),
            "auth_service_url": self.url("auth"),
            "conversation_service_url": self.url("conversation"),
            "voice_service_url": self.url("voice"),
            "data_dir": self.data_dir,
        }

    def _app(self, name: str) -> ASGIApp:
        if name == "auth":
            urls = {key: value for key, value in self._shared().items() if key.endswith("_url")}
            urls.pop("database_url")
            return auth_service.testing.make_app(self.addresses.service, utc_now, **urls)
        if name == "voice":
            return voice_service.main.build(
                voice_service.settings.Settings.model_validate(self._shared())
            )
        model = {"openai_base_url": f"{self.url('model')}/v1", "reply_lease_seconds": 1.0}
        return conversation_service.main.build(
            conversation_service.settings.Settings.model_validate({**self._shared(), **model})
        )

    async def start(self, *names: str) -> None:
        for name in names:
            stack = self.running[name] = AsyncExitStack()
            await stack.enter_async_context(serve(self._app(name), port=self.ports[name]))

    async def stop(self, name: str) -> None:
        await self.running.pop(name).aclose()

    @asynccontextmanager
    async def arrive(self, email: str, name: str | None = None) -> AsyncIterator[Person]:
        """Somebody new, with a client to the conversation service."""
        async with httpx.AsyncClient(timeout=30) as http:
            answer = await http.post(
                f"{self.url('auth')}/api/v1/auth/register",
                json={"email": email, "password": PASSWORD, "full_name": name},
            )
            assert answer.status_code == 201, answer.text
            signed_in = answer.json()
        token = signed_in["session"]["access_token"]
        headers = {"authorization": f"Bearer {token}"}
        async with httpx.AsyncClient(base_url=self.url("conversation"), headers=headers) as own:
            yield Person(Actor.of_person(UUID(signed_in["user"]["id"]), email=email), own)

    async def erase(self, person: Person) -> str:
        async with httpx.AsyncClient(timeout=30) as http:
            answer = await http.delete(
                f"{self.url('auth')}/api/v1/auth/me",
                headers={"authorization": person.http.headers["authorization"]},
            )
        assert answer.status_code == 202, answer.text
        return str(answer.json()["erasure_id"])

    async def follow(self, erasure_id: str) -> dict[str, Any]:
        async with httpx.AsyncClient(timeout=30) as http:
            path = f"{self.url('auth')}/api/v1/auth/erasures/{erasure_id}"
            body: dict[str, Any] = (await http.get(path)).json()
            return body

    async def completed(self, erasure_id: str) -> dict[str, Any]:
        async with asyncio.timeout(30):
            while (found := await self.follow(erasure_id))["status"] != "complete":
                await asyncio.sleep(0.05)
        return found


@pytest.fixture(scope="module")
def index_dir() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as folder:
        yield Path(folder)


@pytest.fixture
async def house(addresses: Addresses, index_dir: Path) -> AsyncIterator[House]:
    made = House(addresses, index_dir)
    model = ModelServer([SLOW])
    async with serve(model.app(), port=made.ports["model"]):
        await made.start("auth", "conversation", "voice")
        yield made
        for name in list(made.running):
            await made.stop(name)


@pytest.fixture
async def will(house: House) -> AsyncIterator[Person]:
    async with house.arrive(EMAIL, NAME) as person:
        yield person


async def nothing_is_left(house: House, person: Person) -> None:
    """Of the id, the address, the name and the words, in any table and any file."""
    needles = [str(person.actor.id), EMAIL, "Quackenbush", "Wilhelmina", WORD]
    async with asyncio.timeout(10):  # the row of an event goes a moment after its effect
        while left := await scanning.tables(house.addresses.owner, needles):
            await asyncio.sleep(0.1)
    assert left == {}
    assert scanning.files(house.data_dir, needles) == {}


async def _ask(person: Person, path: str) -> list[str]:
    """Asks, and reads until the stream ends, however it does; the names of its events."""
    seen: list[str] = []
    body = {"content": f"I have {WORD}. What is it?"}
    async with person.stream("POST", f"{path}/messages", json=body) as events:
        async for event in events:
            seen.append(event.event)
    return seen


async def _while_it_streams(person: Person) -> tuple["asyncio.Task[list[str]]", str]:
    path = await person.start(f"My {WORD}")
    reading = asyncio.create_task(_ask(person, path))
    async with asyncio.timeout(15):
        while True:
            messages = await person.messages(path)
            if messages and messages[-1]["status"] == "streaming" and messages[-1]["content"]:
                return reading, path
            await asyncio.sleep(0.05)


async def test_the_scanner_finds_what_is_there(house: House, will: Person) -> None:
    reading, _ = await _while_it_streams(will)
    found = await scanning.tables(
        house.addresses.owner, [str(will.actor.id), EMAIL, "quackenbush", WORD]
    )
    assert found.keys() >= {
        '"auth"."users"', '"public"."user_profiles"', '"public"."user_roles"',
        '"public"."conversations"', '"public"."messages"', '"medbot"."reply_parts"',
        '"medbot"."sessions"', '"medbot"."feed"',
    }  # fmt: skip
    reading.cancel()
    await asyncio.gather(reading, return_exceptions=True)


async def test_while_a_reply_is_streaming(house: House, will: Person) -> None:
    reading, _ = await _while_it_streams(will)
    done = await house.completed(await house.erase(will))
    assert {part["state"] for part in done["services"]} == {"erased"}
    assert (await asyncio.wait_for(reading, 10))[-1] == "error"
    await nothing_is_left(house, will)
    await asyncio.sleep(1.5)  # the writer would have committed by now, and its lease would be over
    await nothing_is_left(house, will)


async def test_with_a_service_down_it_is_completed_when_that_comes_back(
    house: House, will: Person
) -> None:
    path = await will.start(f"My {WORD}")
    for service in ("conversation", "voice"):
        await house.stop(service)
    erasure_id = await house.erase(will)
    await asyncio.sleep(1)
    waiting = await house.follow(erasure_id)
    states = {part["service"]: part["state"] for part in waiting["services"]}
    assert states == {"auth": "erased", "conversation": "pending", "voice": "pending"}
    assert waiting["receipt"] is None
    await house.start("conversation", "voice")
    answer = await will.http.get(path)
    assert answer.status_code in {401, 404}
    done = await house.completed(erasure_id)
    assert done["receipt"].count(".") == 2
    await nothing_is_left(house, will)


async def test_while_an_event_of_theirs_waits(
    house: House, will: Person, database: Database
) -> None:
    assert will.actor.id is not None
    await will.start(f"My {WORD}")
    await house.stop("conversation")
    async with database.transaction(Actor.of_service("auth")) as tx:
        await outbox.emit(tx, UserRegistered(user_id=will.actor.id), source="auth")
    erasure_id = await house.erase(will)
    async with database.transaction(Actor.of_service("auth")) as tx:  # one more, behind the erasure
        await outbox.emit(tx, UserRegistered(user_id=will.actor.id), source="auth")
    await house.start("conversation")
    await house.completed(erasure_id)
    await nothing_is_left(house, will)


async def test_writes_that_race_with_the_erasure_leave_nothing(house: House, will: Person) -> None:
    stop = asyncio.Event()
    answers: list[int] = []

    async def write() -> None:
        while not stop.is_set():
            body = {"title": f"My {WORD}"}
            answer = await will.http.post("/api/v1/conversations", json=body)
            answers.append(answer.status_code)

    writing = [asyncio.create_task(write()) for _ in range(4)]
    await asyncio.sleep(0.3)
    await house.completed(await house.erase(will))
    await asyncio.sleep(0.5)
    stop.set()
    await asyncio.gather(*writing)
    assert set(answers) == {201, 401}
    await nothing_is_left(house, will)


async def test_nobody_else_loses_anything(house: House, will: Person) -> None:
    async with house.arrive("somebody.else@example.org", "Somebody Else") as other:
        path = await other.start("Kept")
        await will.start(f"My {WORD}")
        connection = await asyncpg.connect(house.addresses.owner)
        try:
            await other.http.patch(path, json={"pinned": True})
            before = await _count(connection, other)
            await house.completed(await house.erase(will))
            assert await _count(connection, other) == before
        finally:
            await connection.close()
        assert (await other.http.get(path)).json()["title"] == "Kept"


async def _count(connection: Any, person: Person) -> dict[str, int]:
    counts = {}
    for table, column in (
        ("public.user_profiles", "user_id"), ("public.user_roles", "user_id"),
        ("medbot.credentials", "user_id"), ("medbot.sessions", "user_id"),
        ("public.conversations", "owner_id"), ("medbot.feed_heads", "owner_id"),
    ):  # fmt: skip
        query = f"select count(*) from {table} where {column} = $1"
        counts[table] = await connection.fetchval(query, person.actor.id)
    return counts
