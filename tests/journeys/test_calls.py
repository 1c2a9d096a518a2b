"""Calls over every transport, and the chat that goes on with them."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from callers import InRoom, Line, Talker, Way, call
from conversing import Person
from installation import Installation, newcomer
from model_server import ModelServer, Say

from kit.testing import serve

pytestmark = pytest.mark.journey

QUESTION = "what are the symptoms of diabetes"
REMEMBERED = "You asked about diabetes."


@pytest.fixture
async def model(cloud_port: int) -> AsyncIterator[ModelServer]:
    """The chat's model."""
    server = ModelServer([[Say(REMEMBERED)]])
    async with serve(server.app(), port=cloud_port):
        yield server


@pytest.fixture
async def sam(speaking: Installation) -> AsyncIterator[Person]:
    """Somebody new."""
    async with newcomer(speaking.url) as person:
        yield person


async def stored(person: Person, conversation_id: str, count: int) -> list[dict[str, Any]]:
    """The messages, once there are so many, or what there is after a while."""
    path = f"/api/v1/conversations/{conversation_id}"
    items: list[dict[str, Any]] = []
    for _ in range(100):
        items = await person.messages(path)
        if len(items) >= count:
            break
        await asyncio.sleep(0.1)
    return items


def as_lines(messages: list[dict[str, Any]]) -> list[Line]:
    return [
        Line(one["role"], one["content"], cut=one["status"] == "interrupted") for one in messages
    ]


async def goes_on_in_writing(
    person: Person, model: ModelServer, talker: Talker, heard: list[Line]
) -> None:
    """The chat shows what was said, in order, and its answer was told of it."""
    path = f"/api/v1/conversations/{talker.conversation_id}"
    answer = await person.send(path, "What did I ask you?")
    assert answer.status_code == 201, answer.text
    assert answer.json()["assistant_message"]["content"] == REMEMBERED
    shown = await person.messages(path)
    assert as_lines(shown[: len(heard)]) == heard
    assert {one["channel"] for one in shown[: len(heard)]} == {talker.channel}
    assert [one["channel"] for one in shown[len(heard) :]] == ["chat", "chat"]
    given = str(model.requests[-1]["messages"])
    assert all(line.text[:40] in given for line in heard)


@pytest.mark.parametrize(("way", "voice"), [("room", "slt"), ("voice", "rms"), ("session", "awb")])
async def test_a_call_is_answered_and_the_chat_goes_on(
    model: ModelServer, sam: Person, way: Way, voice: str
) -> None:
    async with call(sam, way) as talker:
        greeting = await talker.greeted()
        heard, answer = await talker.ask(QUESTION, voice)
    assert (heard.lower().rstrip("?"), len(talker.lines)) == (QUESTION, 3)
    assert "diabetes" in answer.lower()
    said = [Line("assistant", greeting), Line("user", heard), Line("assistant", answer)]
    await stored(sam, talker.conversation_id, 3)
    await goes_on_in_writing(sam, model, talker, said)
    if isinstance(talker, InRoom):
        assert {"listening", "thinking", "speaking"} <= set(talker.states)
        assert talker.interim
