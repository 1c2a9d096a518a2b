"""SIGKILL at the worst moments, and what is found when everything is started again."""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest
from conversing import Person
from installation import LEASE, PASSWORD, Installation, fresh_email, newcomer, visitor
from model_server import ModelServer, Pause, Say, Step

from kit.testing import serve

pytestmark = pytest.mark.journey

QUESTION = "What helps with a headache?"
SCRIPT: list[Step] = [step for n in range(200) for step in (Say(f"wörd{n} 🙂 "), Pause(0.1))]
WHOLE = "".join(step.text for step in SCRIPT if isinstance(step, Say))
SWEPT_WITHIN = LEASE / 5 + 2.0
"""Seconds after the end of a lease, or after the start, within which a reply is marked."""

MESSAGE = "message.created"


@pytest.fixture
async def model(model_port: int) -> AsyncIterator[ModelServer]:
    """Says the script, slowly, to everybody."""
    server = ModelServer([SCRIPT])
    async with serve(server.app(), port=model_port):
        yield server


@dataclass
class Reader:
    """Somebody who asks and reads until the line is cut."""

    person: Person
    number: int
    path: str = ""
    ids: dict[str, str] = field(default_factory=dict)
    said: str = ""
    cut: bool = False

    @property
    def question(self) -> str:
        return f"{QUESTION} I am number {self.number}."

    @property
    def key(self) -> dict[str, str]:
        return {"idempotency-key": f"intention-{self.number}"}

    async def read(self) -> None:
        """Sends the question and keeps what comes."""
        self.path = await self.person.start()
        try:
            await self._follow("POST", f"{self.path}/messages", json={"content": self.question})
        except httpx.HTTPError:
            self.cut = True

    async def retry(self) -> tuple[str, str]:
        """Sends the same with the same key; the whole text, and the name of the last event."""
        ids, self.ids, before, self.said = self.ids, {}, self.said, ""
        last = await self._follow("POST", f"{self.path}/messages", json={"content": self.question})
        assert self.ids == ids
        again, self.said = self.said, before
        return again, last

    async def resume(self) -> str:
        """What a resumed stream adds to what was read before."""
        before = len(self.said)
        stream = f"{self.path}/messages/{self.ids['assistant_message_id']}/stream"
        await self._follow("GET", stream, params={"after": before})
        added, self.said = self.said[before:], self.said[:before]
        return added

    async def _follow(self, method: str, path: str, **more: Any) -> str:
        last = ""
        async with self.person.stream(method, path, headers=self.key, **more) as events:
            async for event in events:
                last = event.event
                if last == "message":
                    self.ids = event.json()
                if last == "delta":
                    assert event.json()["offset"] == len(self.said)
                    self.said += event.json()["text"]
        return last


async def _until(check: Callable[[], Awaitable[bool]], within: float) -> None:
    async with asyncio.timeout(within):
        while not await check():
            await asyncio.sleep(0.05)


async def _restart(house: Installation, *, database_too: bool = False) -> float:
    """Kills and starts again; answers when it was ready, on the monotonic clock."""
    await asyncio.to_thread(house.kill)
    if database_too:  # as when the machine goes down: it must recover from its log
        await asyncio.to_thread(house.stop_database, "immediate")
    await asyncio.to_thread(house.begin)
    return time.monotonic()


async def _nothing_streams(house: Installation, ready: float) -> None:
    """No reply stays running beyond its lease."""
    query = "select count(*) from public.messages where status = 'streaming'"

    async def none_left() -> bool:
        return bool(await house.value(query) == 0)

    await _until(none_left, within=LEASE + SWEPT_WITHIN - (time.monotonic() - ready))
    assert await house.value("select count(*) from medbot.reply_parts") == 0


async def _events_were_done_once(house: Installation, people: Sequence[Person]) -> None:
    """Nothing waits, nothing was laid aside; each of them hears of each thing once, without a gap.

    Of these people alone: the installation has seen others, and who deletes a conversation takes
    what was told of it out of the feed.
    """

    async def drained() -> bool:
        left = await house.value(
            "select (select count(*) from medbot.outbox) + (select count(*) from medbot.queue)"
        )
        return bool(left == 0)

    await _until(drained, within=10)
    assert await house.value("select count(*) from medbot.dead_letters") == 0
    owners = [person.actor.id for person in people]
    written = await house.rows(
        "select owner_id, id from public.messages where owner_id = any($1)", owners
    )
    for person in people:
        newest = await house.value(
            "select seq from medbot.feed_heads where owner_id = $1", person.actor.id
        )
        heard = await _told(person, newest)
        assert [event["seq"] for event in heard] == list(range(1, newest + 1))
        told = [event["ref"]["message_id"] for event in heard if event["type"] == MESSAGE]
        own = [str(row["id"]) for row in written if row["owner_id"] == person.actor.id]
        assert sorted(told) == sorted(own)
        assert [event["type"] for event in heard].count("account.registered") == 1


async def _told(person: Person, newest: int) -> list[Any]:
    """What somebody hears who reads their feed from its start to its newest entry."""
    heard: list[Any] = []
    start = {"last-event-id": "0"}
    async with (
        asyncio.timeout(10),
        person.stream("GET", "/api/v1/events", headers=start) as events,
    ):
        async for event in events:
            heard.append(event.json())
            if heard[-1]["seq"] >= newest:
                break
    return heard


@pytest.mark.parametrize(
    ("people", "database_too"),
    [
        (12, False),
        pytest.param(50, False, marks=pytest.mark.long),
        pytest.param(50, True, marks=pytest.mark.long),
    ],
)
async def test_killed_while_everybody_reads(
    with_model: Installation, model: ModelServer, people: int, database_too: bool
) -> None:
    await _restart(
        with_model
    )  # whoever was here before may have left its circuit to the model open
    async with AsyncExitStack() as stack:
        readers = await asyncio.gather(
            *(_arrive(stack, with_model, number) for number in range(people))
        )
        reading = [asyncio.create_task(reader.read()) for reader in readers]

        async def all_in_the_middle() -> bool:
            return all(len(reader.said) > 30 for reader in readers)

        await _until(all_in_the_middle, within=30)
        ready = await _restart(with_model, database_too=database_too)
        await asyncio.gather(*reading)
        assert all(reader.cut and len(reader.said) < len(WHOLE) for reader in readers)
        at_once = await asyncio.gather(*(reader.retry() for reader in readers[::3]))
        await _nothing_streams(with_model, ready)
        late = await asyncio.gather(*(reader.retry() for reader in readers))
        for reader, (text, last) in zip([*readers[::3], *readers], at_once + late, strict=True):
            await _is_kept(reader, text, last)
        crowd = [reader.person for reader in readers]
        await _events_were_done_once(with_model, crowd)
        model.scripts = [[Say("All is "), Say("well again.")]]
        for reader in readers:
            answer = await reader.person.send(reader.path, "And now?")
            assert answer.json()["assistant_message"]["content"] == "All is well again."
        await _events_were_done_once(with_model, crowd)


async def _arrive(stack: AsyncExitStack, house: Installation, number: int) -> Reader:
    return Reader(await stack.enter_async_context(newcomer(house.url)), number)


async def _is_kept(reader: Reader, text: str, last: str) -> None:
    """The message once, the reply marked, with exactly what had been said."""
    question, reply = await reader.person.messages(reader.path)
    assert (question["role"], question["content"]) == ("user", reader.question)
    assert [question["id"], reply["id"]] == list(reader.ids.values())
    assert (reply["status"], last) == ("failed", "error")
    assert WHOLE.startswith(reply["content"])
    assert reply["content"].startswith(reader.said)
    assert text == reply["content"]
    assert reader.said + await reader.resume() == reply["content"]
    refused = await reader.person.send(reader.path, reader.question, **reader.key)
    assert (refused.status_code, refused.json()["code"]) == (503, "conversation.reply_failed")
    other = await reader.person.send(reader.path, "Something else", **reader.key)
    assert (other.status_code, other.json()["code"]) == (409, "idempotency.mismatch")


@dataclass
class Registering:
    """Somebody who makes one account after another until nothing answers any more."""

    answered: dict[str, str] = field(default_factory=dict)
    unanswered: list[str] = field(default_factory=list)

    async def go_on(self, http: httpx.AsyncClient) -> None:
        while True:
            email = fresh_email()
            self.unanswered.append(email)
            made = await http.post(
                "/api/v1/auth/register", json={"email": email, "password": PASSWORD}
            )
            assert made.status_code == 201
            self.answered[email] = made.json()["user"]["id"]
            self.unanswered.remove(email)


async def _all_accounts_are_made(house: Installation, crowd: list[Registering], made: int) -> None:
    """Each once: those that were answered, and those that try again; `made` were there before."""
    accounts = {email: id_ for one in crowd for email, id_ in one.answered.items()}
    async with visitor(house.url) as http:
        for email in [email for one in crowd for email in one.unanswered]:
            sent = {"email": email, "password": PASSWORD}
            again = await http.post("/api/v1/auth/register", json=sent)
            assert again.status_code in {201, 409}, "made now, or made then"
            accounts[email] = ""
        for email, id_ in accounts.items():
            sent = {"email": email, "password": PASSWORD}
            user = (await http.post("/api/v1/auth/login", json=sent)).json()["user"]
            assert id_ in {user["id"], ""}
            assert user["roles"] == ["patient"]
    after = await house.value("select count(*) from auth.users")
    assert after - made == len(accounts)
    assert await house.value("select count(*) from public.user_profiles") == after


@dataclass
class Sender:
    """Somebody who sends one message after another, each with a key, and waits for its reply."""

    person: Person
    path: str
    answered: dict[str, Any] = field(default_factory=dict)
    sending: str = ""

    async def go_on(self) -> None:
        while True:
            self.sending = f"What is flu? {len(self.answered)}"
            answer = await self.send()
            assert answer.status_code == 201, answer.text
            self.answered[self.sending] = answer.json()

    async def send(self) -> httpx.Response:
        key = {"idempotency-key": self.sending.replace(" ", "-")}
        return await self.person.send(self.path, self.sending, **key)


@pytest.mark.long
async def test_killed_while_people_register_and_send_without_a_stream(
    with_model: Installation, model: ModelServer
) -> None:
    model.scripts = [[Say("A "), Pause(0.02), Say("cold, "), Pause(0.02), Say("but worse.")]]
    async with AsyncExitStack() as stack:
        senders = []
        for _ in range(6):
            person = await stack.enter_async_context(newcomer(with_model.url))
            senders.append(Sender(person, await person.start()))
        made = await with_model.value("select count(*) from auth.users")
        crowd = [Registering() for _ in range(6)]
        http = await stack.enter_async_context(visitor(with_model.url))
        tasks = [asyncio.create_task(sender.go_on()) for sender in senders]
        tasks += [asyncio.create_task(one.go_on(http)) for one in crowd]

        async def all_have_some() -> bool:
            counts = [len(sender.answered) for sender in senders]
            return min(counts + [len(one.answered) for one in crowd]) >= 2

        await _until(all_have_some, within=20)
        ready = await _restart(with_model)
        ends = await asyncio.gather(*tasks, return_exceptions=True)
        assert all(isinstance(end, httpx.HTTPError) for end in ends), ends
        again = await asyncio.gather(*(sender.send() for sender in senders))
        await _nothing_streams(with_model, ready)
        for sender, answer in zip(senders, again, strict=True):
            await _each_once(sender, answer)
        await _all_accounts_are_made(with_model, crowd, made)
        await _events_were_done_once(with_model, [sender.person for sender in senders])


async def _each_once(sender: Sender, answer: httpx.Response) -> None:
    """Every question once with one reply to it; the last one's was whole, or marked."""
    messages = await sender.person.messages(sender.path)
    questions = [message["content"] for message in messages[::2]]
    assert questions == [*sender.answered, sender.sending]
    for both, question, reply in zip(
        sender.answered.values(), messages[::2], messages[1::2], strict=False
    ):
        assert (both["user_message"], both["assistant_message"]) == (question, reply)
    last = messages[-1]
    assert Counter(message["role"] for message in messages) == {
        "user": len(questions), "assistant": len(questions),
    }  # fmt: skip
    assert "A cold, but worse.".startswith(last["content"])
    if answer.status_code == 201:
        assert answer.json()["assistant_message"] == last
        assert (last["status"], last["content"]) == ("complete", "A cold, but worse.")
    else:
        assert (answer.status_code, answer.json()["code"]) == (503, "conversation.reply_failed")
        assert last["status"] == "failed"
