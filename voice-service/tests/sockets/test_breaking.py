"""What breaks in the middle of an answer: a socket, the service. What was heard is kept."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Any

import asyncpg
import pytest
from calling import Caller, calling
from conversing import Person, Visit
from model_server import ModelServer, Say
from pydantic import SecretStr
from speaking import job
from speech_server import SpeechServer
from starlette.applications import Starlette

from kit.testing import Addresses, Served, serve
from voice_service import main
from voice_service.settings import Settings

LONG = " ".join(f"word{place}" for place in range(40)) + "."
QUESTION = "What helps against a cold?"
SESSION = "/api/v1/voice/session"


@pytest.fixture
async def cascade(settings: Settings) -> AsyncIterator[Settings]:
    """The service with OpenAI's cascade, from the loopback: every answer is a long one."""
    provider = Starlette(
        routes=[*SpeechServer().routes(), *ModelServer([[Say(LONG)]]).app().routes]
    )
    async with serve(provider) as served:
        yield settings.model_copy(
            update={
                "openai_api_key": SecretStr("sk-test"),
                "openai_base_url": f"{served.url}/v1",
                "voice_pipeline": "cascade",
                "voice_turn_detection": "vad",
            }
        )


async def make(person: Person, **body: Any) -> dict[str, Any]:
    made: dict[str, Any] = (await person.http.post(SESSION, json=body)).json()
    return made


async def half_an_answer(caller: Caller) -> None:
    """Asks in writing, and hears one and a half seconds of the answer."""
    await caller.send({"type": "control", "action": "start"})
    await caller.send({"type": "text", "text": QUESTION})
    async with asyncio.timeout(20):
        while not any("word0" in one["text"] for one in caller.all("transcript")):
            await asyncio.sleep(0.02)
    await asyncio.sleep(1.5)


async def stored(person: Person, made: dict[str, Any], count: int) -> list[dict[str, Any]]:
    """The messages from the question on, once there are so many."""
    found: list[dict[str, Any]] = []
    async with asyncio.timeout(10):
        while len(found) < count:
            await asyncio.sleep(0.05)
            found = await person.messages(f"/api/v1/conversations/{made['conversation_id']}")
            asked = [one["content"] for one in found]
            found = found[asked.index(QUESTION) :] if QUESTION in asked else []
    return found


def is_beginning(message: dict[str, Any]) -> None:
    """Some of the long answer, marked as cut."""
    assert (message["role"], message["status"]) == ("assistant", "interrupted")
    words = message["content"].split()
    assert 2 <= len(words) < 40
    assert words == LONG.split()[: len(words)]


async def test_the_chat_goes_on_at_once_from_what_was_heard_on_a_lost_socket(
    cascade: Settings, voice_port: int, conversations: Served, visit: Visit
) -> None:
    async with serve(main.build(cascade), port=voice_port) as service:
        alice = await visit(service)
        writing = await visit(conversations, alice.actor)
        made = await make(alice)
        headers = {"authorization": alice.http.headers["authorization"]}
        async with calling(
            made["websocket_url"], session=True, additional_headers=headers
        ) as caller:
            await half_an_answer(caller)
            caller.socket.transport.abort()
        path = f"{SESSION}/{made['session_id']}/status"
        async with asyncio.timeout(2):
            while (await alice.http.get(path)).json()["participants"] != 0:
                await asyncio.sleep(0.05)
        await writing.send(f"/api/v1/conversations/{made['conversation_id']}", "What is flu?")
        found = await stored(writing, made, 4)
        is_beginning(found[1])
        assert [one["role"] for one in found] == ["user", "assistant", "user", "assistant"]
        assert found[2]["content"] == "What is flu?"
        assert (await alice.http.get(path)).json()["status"] == "ended"
        async with calling(made["websocket_url"], session=True, additional_headers=headers) as late:
            assert await late.closed() == 4410


async def test_whoever_comes_back_at_once_is_told_to_be_there_at_once(
    service: Served, alice: Person
) -> None:
    made = await make(alice)
    path = f"{SESSION}/{made['session_id']}/status"
    headers = {"authorization": alice.http.headers["authorization"]}

    async def until(participants: int) -> None:
        async with asyncio.timeout(2):  # less than between two signs of life
            while (await alice.http.get(path)).json()["participants"] != participants:
                await asyncio.sleep(0.01)

    async with AsyncExitStack() as calls:
        for _ in range(3):
            caller = await calls.enter_async_context(
                calling(made["websocket_url"], session=True, additional_headers=headers)
            )
            await caller.wait_for("status")
            await caller.send({"type": "control", "action": "start"})
            async with asyncio.timeout(20):
                while caller.all("status")[-1]["status"] != "active":
                    await asyncio.sleep(0.01)
            await until(1)
            caller.socket.transport.abort()
            await until(0)


async def test_a_service_that_stops_hangs_up_and_the_next_one_goes_on(
    cascade: Settings, voice_port: int, conversations: Served, visit: Visit
) -> None:
    async with AsyncExitStack() as first, AsyncExitStack() as calls:
        service = await first.enter_async_context(serve(main.build(cascade), port=voice_port))
        alice = await visit(service)
        writing = await visit(conversations, alice.actor)
        made = await make(alice)
        headers = {"authorization": alice.http.headers["authorization"]}
        caller = await calls.enter_async_context(
            calling(made["websocket_url"], session=True, additional_headers=headers)
        )
        await half_an_answer(caller)
        await first.aclose()
        assert await caller.closed() == 1012
    async with serve(main.build(cascade), port=voice_port) as service:
        again = await visit(service, alice.actor)
        found = await stored(writing, made, 2)
        is_beginning(found[1])
        ended = (await again.http.get(f"{SESSION}/{made['session_id']}")).json()
        assert (ended["status"], ended["end_reason"]) == ("ended", "drained")
        another = await make(again, conversation_id=made["conversation_id"])
        async with job(service, another["session_id"]) as running:
            plan = await running.plan()
        assert [each.content for each in plan.history][-2:] == [QUESTION, found[1]["content"]]


@pytest.mark.parametrize(
    "state",
    [
        "40P01",  # a deadlock
        pytest.param("25006", marks=pytest.mark.long),  # read-only
        pytest.param("53100", marks=pytest.mark.long),  # the disk is full
    ],
)
async def test_what_the_database_cannot_take_for_a_while_is_stored_then(
    cascade: Settings,
    voice_port: int,
    conversations: Served,
    visit: Visit,
    addresses: Addresses,
    state: str,
) -> None:
    owner = await asyncpg.connect(addresses.owner)
    async with serve(main.build(cascade), port=voice_port) as service:
        alice = await visit(service)
        writing = await visit(conversations, alice.actor)
        made = await make(alice)
        headers = {"authorization": alice.http.headers["authorization"]}
        await owner.execute(
            "create function medbot.fails() returns trigger language plpgsql as"
            f" $$ begin raise exception using errcode = '{state}'; end $$;"
            " create trigger fails before insert or update on medbot.voice_turns"
            " for each row execute function medbot.fails()"
        )
        async with calling(
            made["websocket_url"], session=True, additional_headers=headers
        ) as caller:
            await half_an_answer(caller)
            assert await stored(writing, made, 0) == []
            await owner.execute("drop trigger fails on medbot.voice_turns")
            await caller.send({"type": "control", "action": "stop"})
            assert await caller.closed() == 1000
        found = await stored(writing, made, 2)
    await owner.close()
    is_beginning(found[1])
