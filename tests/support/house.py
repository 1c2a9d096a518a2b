"""The services that keep rows of people, each to be started and stopped alone, in one loop."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
import scanning
from conversing import Person
from pydantic import SecretStr
from starlette.types import ASGIApp

import auth_service.testing
import conversation_service.main
import conversation_service.settings
import voice_service.main
import voice_service.settings
from auth_service.testing import PASSWORD, SERVICE_SECRET
from kit.database import utc_now
from kit.identity import Actor
from kit.testing import Addresses, serve
from kit.testing.ports import free_ports

EMAIL = "wilhelmyna.quaxenbosch@example.org"
NAME = "Wilhelmyna Quaxenbosch"
WORD = "quixomyelitis"


@dataclass
class House:
    """The services that keep rows of people, each to be started and stopped alone."""

    addresses: Addresses
    data_dir: Path
    ports: dict[str, int] = field(
        default_factory=lambda: dict(
            zip(("auth", "conversation", "voice", "model"), count(free_ports(4)))
        )
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
            return auth_service.testing.make_app(
                self.addresses.service, utc_now, allow_guests=True, **urls
            )
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


async def nothing_is_left(house: House, person: Person) -> None:
    """Of the id, the address, the name and the words, in any table and any file."""
    needles = [str(person.actor.id), EMAIL, "Quaxenbosch", "Wilhelmyna", WORD]
    async with asyncio.timeout(10):  # the row of an event goes a moment after its effect
        while left := await scanning.tables(house.addresses.owner, needles):
            await asyncio.sleep(0.1)
    assert left == {}
    found = scanning.files(house.data_dir, needles)
    assert found == {}, found
