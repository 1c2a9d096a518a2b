"""The longest duration is over while something is said that must not be cut off."""

import asyncio
from typing import Any

import pytest
from calling import calling
from conversing import Person, Start, Visit
from model_server import ModelServer, Say
from pydantic import SecretStr
from speech_server import SpeechServer
from starlette.applications import Starlette

from kit.testing import Served, serve

SESSION = "/api/v1/voice/session"
WORST = "I am pregnant and bleeding heavily and I want to kill myself"


@pytest.mark.long
async def test_an_alarm_over_the_last_goodbye_outlasts_the_session(
    start: Start, visit: Visit, conversations: Served
) -> None:
    provider = Starlette(
        routes=[*SpeechServer().routes(), *ModelServer([[Say("Well.")]]).app().routes]
    )
    async with serve(provider) as cloud:
        service = await start(
            openai_api_key=SecretStr("sk-test"),
            openai_base_url=f"{cloud.url}/v1",
            voice_pipeline="cascade",
            voice_turn_detection="vad",
            voice_max_seconds=9,
        )
        alice = await visit(service)
        made = (await alice.http.post(SESSION, json={})).json()
        headers = {"authorization": alice.http.headers["authorization"]}
        async with calling(
            made["websocket_url"], session=True, additional_headers=headers
        ) as caller:
            await caller.send({"type": "control", "action": "start"})
            async with asyncio.timeout(30):
                while not any("time is up" in one["text"] for one in caller.all("transcript")):
                    await asyncio.sleep(0.05)
            await caller.send({"type": "text", "text": WORST})
            assert await caller.closed(within=90) == 1000
        ended = (await alice.http.get(f"{SESSION}/{made['session_id']}")).json()
        assert ended["end_reason"] == "too_long"
        writing = await visit(conversations, alice.actor)
        alarm = await alarm_of(writing, made)
    assert alarm["status"] == "complete"
    assert len(alarm["content"].split()) > 100


async def alarm_of(person: Person, made: dict[str, Any]) -> dict[str, Any]:
    """The message that says whom to call."""
    async with asyncio.timeout(10):
        while True:
            for one in await person.messages(f"/api/v1/conversations/{made['conversation_id']}"):
                if one["role"] == "assistant" and "999" in one["content"]:
                    return one
            await asyncio.sleep(0.1)
