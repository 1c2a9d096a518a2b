"""People who talk to a conversation service, and what its streams must hold to."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpx
from httpx_sse import ServerSentEvent, aconnect_sse

from kit.identity import Actor
from kit.testing import Served


@dataclass
class Person:
    """Somebody with a token and a client."""

    actor: Actor
    http: httpx.AsyncClient

    async def start(self, title: str = "") -> str:
        """Creates a conversation and answers its path."""
        answer = await self.http.post("/api/v1/conversations", json={"title": title})
        assert answer.status_code == 201, answer.text
        return f"/api/v1/conversations/{answer.json()['id']}"

    async def send(self, path: str, content: str, **headers: str) -> httpx.Response:
        """Sends a message and waits for the whole reply."""
        return await self.http.post(
            f"{path}/messages", json={"content": content}, headers=headers, timeout=30
        )

    @asynccontextmanager
    async def stream(
        self, method: str, path: str, **more: Any
    ) -> AsyncIterator[AsyncIterator[ServerSentEvent]]:
        """Opens a stream of events."""
        async with aconnect_sse(self.http, method, path, timeout=30, **more) as source:
            source.response.raise_for_status()
            yield source.aiter_sse()

    async def ask(self, path: str, content: str, **headers: str) -> list[ServerSentEvent]:
        """Sends a message and reads its stream to the end."""
        async with self.stream(
            "POST", f"{path}/messages", json={"content": content}, headers=headers
        ) as events:
            return [event async for event in events]

    async def messages(self, path: str) -> list[dict[str, Any]]:
        """All messages of a conversation."""
        answer = await self.http.get(f"{path}/messages", params={"limit": 100})
        assert answer.status_code == 200, answer.text
        items: list[dict[str, Any]] = answer.json()["items"]
        return items


def text_of(events: list[ServerSentEvent]) -> str:
    """The deltas joined, after checking that each starts where the last one ended."""
    said = ""
    for event in events:
        if event.event == "delta":
            assert event.json()["offset"] == len(said)
            said += event.json()["text"]
    return said


Start = Callable[..., Awaitable[Served]]
"""Starts an instance of the service, with other settings where some are given."""

Visit = Callable[..., Awaitable[Person]]
"""Gives somebody, new unless named, a client to an instance."""
