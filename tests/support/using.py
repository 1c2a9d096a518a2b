"""What people do with a plant while something in it breaks, and what they see of that.

They are clients as they should be: a refused call is made again with the same key, a cut stream is
picked up where it ended, an expired token is renewed.
"""

import asyncio
import secrets
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Any, Protocol

import httpx
from conversing import Person
from httpx_sse import SSEError, aconnect_sse
from installation import sign_up, visitor
from model_server import Pause, Say, Step
from plant import Plant

from kit.identity import Actor

SLOWLY: list[Step] = [step for n in range(80) for step in (Say(f"wörd{n} 🙂 "), Pause(0.1))]
REPLY_LASTS = sum(step.seconds for step in SLOWLY if isinstance(step, Pause))
AT_ONCE: list[Step] = [Say("All is "), Say("well.")]
QUESTION = "What helps with a headache?"
EXPIRED = "401 auth.invalid_token"
MIB = 1024 * 1024
AGAIN_AFTER = 0.5
WELL_WITHIN = 120.0
"""Seconds after a fault's end within which everything is as it was; a coarse bound."""


@dataclass
class Client:
    """A person who keeps what was refused, by status and code, and tries again."""

    person: Person
    refresh: str
    seen: Counter[str] = field(default_factory=Counter)

    async def ask(self, method: str, path: str, **more: Any) -> httpx.Response | None:
        """An answer, or None where the line was cut; a token that has expired is renewed."""
        try:
            answer = await self.person.http.request(method, path, timeout=WELL_WITHIN, **more)
        except httpx.HTTPError:
            self.seen["call cut"] += 1
            return None
        if answer.status_code >= 400:
            await self.note(answer)
        return answer

    async def start(self) -> str:
        """Creates a conversation and answers its path."""
        answer = await self.insist("POST", "/api/v1/conversations", json={"title": ""})
        return f"/api/v1/conversations/{answer.json()['id']}"

    async def insist(self, method: str, path: str, **more: Any) -> httpx.Response:
        """The first answer that is no passing refusal."""
        while True:
            answer = await self.ask(method, path, **more)
            if answer is not None and answer.status_code < 400:
                return answer
            if answer is not None and _code(answer) == "503 conversation.reply_failed":
                return answer
            await asyncio.sleep(AGAIN_AFTER)

    async def follow(
        self, method: str, path: str, **more: Any
    ) -> AsyncGenerator[tuple[str, Any], None]:
        """The events of a stream, name and data, for as long as it lasts; a refusal is noted."""
        try:
            async with aconnect_sse(
                self.person.http, method, path, timeout=WELL_WITHIN, **more
            ) as source:
                if source.response.status_code >= 400:
                    await source.response.aread()
                    await self.note(source.response)
                    return
                async for event in source.aiter_sse():
                    if event.data:  # the library makes an event of a comment, too
                        yield event.event, event.json()
                self.seen["stream ended"] += 1
        except (httpx.HTTPError, SSEError):
            self.seen["stream cut"] += 1

    async def note(self, answer: httpx.Response) -> None:
        """Keeps a refusal, which must have a name, and comes in again where that is the matter."""
        code = _code(answer)
        self.seen[code] += 1
        if code == EXPIRED:
            sent = {"refresh_token": self.refresh}
            renewed = await self.person.http.post(
                "/api/v1/auth/refresh", json=sent, headers={"authorization": ""}
            )
            if renewed.status_code == 200:
                session = renewed.json()["session"]
                self.refresh = session["refresh_token"]
                self.person.http.headers["authorization"] = f"Bearer {session['access_token']}"


def _code(answer: httpx.Response) -> str:
    kind = answer.headers.get("content-type", "")
    named = answer.json()["code"] if kind == "application/problem+json" else f"unnamed ({kind})"
    return f"{answer.status_code} {named}"


@dataclass
class Crowd:
    """People with accounts, who outlive the faults."""

    plant: Plant
    clients: list[Client]

    def seen(self) -> Counter[str]:
        """What all have seen since the last call."""
        total = sum((client.seen for client in self.clients), Counter[str]())
        for client in self.clients:
            client.seen.clear()
        return total


async def gathered(stack: AsyncExitStack, plant: Plant, many: int) -> Crowd:
    """So many people, each with a client of their own."""
    clients = []
    for _ in range(many):
        http = await stack.enter_async_context(visitor(plant.url))
        user = await sign_up(http)
        http.headers["authorization"] = f"Bearer {user['session']['access_token']}"
        actor = Actor.of_person(user["user"]["id"], email=user["user"]["email"])
        clients.append(Client(Person(actor, http), user["session"]["refresh_token"]))
    return Crowd(plant, clients)


async def taken_back(crowd: Crowd) -> None:
    """Waits until the model answers: after a fault of its own it is left alone for a while."""
    crowd.plant.model.scripts[:] = [AT_ONCE]
    client = crowd.clients[0]
    path = await client.start()
    async with asyncio.timeout(WELL_WITHIN):
        while True:
            answer = await client.insist("POST", f"{path}/messages", json={"content": QUESTION})
            if answer.status_code == 201:
                reply = answer.json()["assistant_message"]
                if reply["content"] == "".join(s.text for s in AT_ONCE if isinstance(s, Say)):
                    return
            await asyncio.sleep(AGAIN_AFTER)


class Load(Protocol):
    """What several people do."""

    name: str

    async def begin(self) -> None:
        """Returns when everybody is at it."""

    async def meet(self) -> None:
        """What people do just after the fault has begun."""

    async def recover(self) -> None:
        """Returns when everybody has what they wanted."""

    async def lost(self) -> int:
        """How much is missing, or there twice, of what was accepted or read."""


@dataclass
class _Reply:
    client: Client
    path: str
    key: str = field(default_factory=lambda: secrets.token_hex(8))
    ids: dict[str, str] = field(default_factory=dict)
    said: str = ""
    last: str = ""

    async def read(self) -> None:
        """Asks, and reads until the end of the stream or until the line is cut."""
        await self._follow("POST", f"{self.path}/messages", json={"content": QUESTION},
                           headers={"idempotency-key": self.key})  # fmt: skip
        if self.last:
            self.client.seen[self.last] += 1

    async def whole(self) -> None:
        """Goes on until a whole reply was read; one that failed is asked for anew."""
        while not self.last.startswith("complete"):
            if self.last == "error conversation.reply_failed":
                self.key, self.ids, self.said = secrets.token_hex(8), {}, ""
            if self.ids:
                stream = f"{self.path}/messages/{self.ids['assistant_message_id']}/stream"
                await self._follow("GET", stream, params={"after": len(self.said)})
            else:
                sent = {"content": QUESTION}
                key = {"idempotency-key": self.key}
                await self._follow("POST", f"{self.path}/messages", json=sent, headers=key)
            if not self.last.startswith("complete"):
                await asyncio.sleep(AGAIN_AFTER)

    async def _follow(self, method: str, path: str, **more: Any) -> None:
        self.last = ""
        async for event, data in self.client.follow(method, path, **more):
            self._take(event, data)
            if self.last:
                break

    def _take(self, event: str, data: dict[str, Any]) -> None:
        if event == "message":
            self.ids = data
        if event == "delta":
            assert data["offset"] == len(self.said)
            self.said += data["text"]
        if event == "done":
            assert data["message"]["content"] == self.said
            self.last = "complete reply"
        if event == "error":
            self.last = f"error {data['code']}"


class Replies:
    """Several people are in the middle of a reply."""

    name = "a reply streaming"

    def __init__(self, crowd: Crowd) -> None:
        self._clients = crowd.clients[:4]
        crowd.plant.model.scripts[:] = [SLOWLY]
        self._replies: list[_Reply] = []
        self._read: list[tuple[str, str]] = []

    async def begin(self) -> None:
        for client in self._clients:
            self._replies.append(_Reply(client, await client.start()))
        self._reading = [asyncio.create_task(reply.read()) for reply in self._replies]
        async with asyncio.timeout(30):
            while not all(len(reply.said) > 50 for reply in self._replies):
                await asyncio.sleep(0.02)

    async def meet(self) -> None:
        """They read on."""

    async def recover(self) -> None:
        await asyncio.gather(*self._reading)
        self._read = [(r.ids["assistant_message_id"], r.said) for r in self._replies]
        await asyncio.gather(*(reply.whole() for reply in self._replies))

    async def lost(self) -> int:
        missing = 0
        for reply, (first, said) in zip(self._replies, self._read, strict=True):
            kept = {each["id"]: each for each in await reply.client.person.messages(reply.path)}
            missing += not (first in kept and kept[first]["content"].startswith(said))
            missing += kept[reply.ids["assistant_message_id"]]["content"] != reply.said
            missing += len(kept) != (2 if reply.ids["assistant_message_id"] == first else 4)
        return missing


class Bodies:
    """Several people send a message whose body is of the largest size, slowly."""

    name = "a body of 1 MiB being sent"

    def __init__(self, crowd: Crowd) -> None:
        self._clients = crowd.clients[:3]
        crowd.plant.model.scripts[:] = [AT_ONCE]
        self._half = [asyncio.Event() for _ in self._clients]
        self._go_on = asyncio.Event()
        self._paths: list[str] = []
        self._accepted: list[list[dict[str, Any]]] = []

    async def begin(self) -> None:
        self._paths = [await client.start() for client in self._clients]
        self._sending = [
            asyncio.create_task(self._send(client, path, half))
            for client, path, half in zip(self._clients, self._paths, self._half, strict=True)
        ]
        await asyncio.gather(*(half.wait() for half in self._half))

    async def _send(self, client: Client, path: str, half: asyncio.Event) -> None:
        body = ('{"content": "' + QUESTION + '"' + "}").encode().rjust(MIB)
        kinds = {"content-type": "application/json", "content-length": str(MIB)}
        key = secrets.token_hex(8)

        async def slowly() -> AsyncIterator[bytes]:
            for at in range(0, MIB, MIB // 16):
                yield body[at : at + MIB // 16]
                if at == MIB // 2:
                    half.set()
                    await self._go_on.wait()

        answer = await client.ask(
            "POST", f"{path}/messages", content=slowly(), headers={**kinds, "idempotency-key": key}
        )
        while answer is None or answer.status_code != 201:
            if answer is not None and _code(answer) == "503 conversation.reply_failed":
                key = secrets.token_hex(8)
            answer = await client.insist(
                "POST", f"{path}/messages", content=body, headers={**kinds, "idempotency-key": key}
            )
        client.seen["complete reply"] += 1
        self._accepted.append([answer.json()["user_message"], answer.json()["assistant_message"]])

    async def meet(self) -> None:
        """The second half of each body is sent."""
        self._go_on.set()

    async def recover(self) -> None:
        await asyncio.gather(*self._sending)

    async def lost(self) -> int:
        missing = 0
        accepted = {message["id"]: message for both in self._accepted for message in both}
        for client, path in zip(self._clients, self._paths, strict=True):
            kept = await client.person.messages(path)
            missing += kept[-2:] != [accepted.get(each["id"]) for each in kept[-2:]]
            failed = client.seen["503 conversation.reply_failed"]
            missing += abs(len(kept) - 2 * (1 + failed))
        return missing


@dataclass
class _Listener:
    client: Client
    seq: int
    heard: list[int] = field(default_factory=list)

    async def listen(self) -> None:
        """As a browser does: when the stream ends it comes again after the last id."""
        while True:
            at = {"last-event-id": str(self.heard[-1] if self.heard else self.seq)}
            async for event, data in self.client.follow("GET", FEED, headers=at):
                if event == "error":
                    self.client.seen[f"error {data['code']}"] += 1
                else:
                    self.heard.append(data["seq"])
            await asyncio.sleep(AGAIN_AFTER)


FEED = "/api/v1/events"


class Readers:
    """Fifty screens of ten people are open, and every one of these sends a message."""

    name = "50 readers of events"

    def __init__(self, crowd: Crowd) -> None:
        self._clients = crowd.clients[:10]
        self._plant = crowd.plant
        crowd.plant.model.scripts[:] = [AT_ONCE]
        self._listeners: list[_Listener] = []
        self._paths: list[str] = []
        self._start: dict[Any, int] = {}
        self._due: list[tuple[_Listener, list[int]]] = []

    async def begin(self) -> None:
        rows = await self._plant.rows("select owner_id, seq from medbot.feed_heads")
        self._start = {str(row["owner_id"]): row["seq"] for row in rows}
        self._paths = [await client.start() for client in self._clients]
        self._listeners = [
            _Listener(client, self._start[str(client.person.actor.id)])
            for client in self._clients
            for _ in range(5)
        ]
        self._listening = [asyncio.create_task(one.listen()) for one in self._listeners]
        sent = await asyncio.gather(*map(self._say, self._clients, self._paths))
        assert all(answer.status_code == 201 for answer in sent)
        await self._all_heard()

    async def _say(self, client: Client, path: str) -> httpx.Response:
        """Sends a message until it is accepted; its reply may fail."""
        key = {"idempotency-key": secrets.token_hex(8)}
        return await client.insist(
            "POST", f"{path}/messages", json={"content": QUESTION}, headers=key
        )

    async def meet(self) -> None:
        """Everybody sends one more."""
        self._saying = [
            asyncio.create_task(self._say(client, path))
            for client, path in zip(self._clients, self._paths, strict=True)
        ]

    async def recover(self) -> None:
        await asyncio.gather(*self._saying)
        await self._all_heard()
        self._due = await self._expected()
        for task in self._listening:
            task.cancel()
        await asyncio.gather(*self._listening, return_exceptions=True)

    async def _all_heard(self) -> None:
        """Every screen has what was committed, both messages of each exchange among it."""
        async with asyncio.timeout(WELL_WITHIN):
            while not all(
                expected and set(expected) <= set(listener.heard)
                for listener, expected in await self._expected()
            ):
                await asyncio.sleep(0.1)

    async def _expected(self) -> list[tuple[_Listener, list[int]]]:
        """The numbers that each screen should hear; nothing while a message is not told of yet."""
        rows = await self._plant.rows(
            "select owner_id, seq, type from medbot.feed order by owner_id, seq"
        )
        waits = await self._plant.rows(
            "select m.id from public.messages m where m.owner_id = any($1) and not exists (select"
            " from medbot.feed f where f.owner_id = m.owner_id and f.type = 'message.created'"
            " and f.ref ->> 'message_id' = m.id::text)",
            [str(client.person.actor.id) for client in self._clients],
        )
        found = []
        for listener in self._listeners:
            owner = str(listener.client.person.actor.id)
            later = [r["seq"] for r in rows if str(r["owner_id"]) == owner]
            found.append((listener, [s for s in later if s > listener.seq] if not waits else []))
        return found

    async def lost(self) -> int:
        """Screens that missed an entry, heard one twice, or heard them out of order."""
        return sum(
            not set(expected) <= set(listener.heard)
            or listener.heard != list(range(listener.seq + 1, listener.heard[-1] + 1))
            for listener, expected in self._due
        )


LOADS: tuple[type[Replies] | type[Bodies] | type[Readers], ...] = (Replies, Bodies, Readers)
