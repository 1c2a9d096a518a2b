"""A call on a long conversation knows what was said at its start."""

import json
from collections.abc import AsyncIterator

import pytest
from calling import calling, speech
from conversing import Person, Start
from filling import chatter, fill
from providers import Cloud
from pydantic import SecretStr
from speaking import job

from kit.testing import Addresses, Served, serve

ALLERGY = "My name is Ann, I am 34 and allergic to penicillin. I take 20 mg of fluoxetine."
QUESTION = "What helps against a cold?"
BOUND = 40_000
"""Characters of everything a model is sent."""


@pytest.fixture
def cloud() -> Cloud:
    made = Cloud()
    made.speech.hears = [QUESTION]
    made.realtime.hears, made.realtime.says = [QUESTION], ["Rest and drink."]
    return made


@pytest.fixture
async def service(
    request: pytest.FixtureRequest, cloud: Cloud, start: Start
) -> AsyncIterator[Served]:
    """The service with a pipeline of the cloud's, from the loopback."""
    async with serve(cloud.app()) as served:
        yield await start(
            openai_api_key=SecretStr("sk-test"),
            openai_base_url=f"{served.url}/v1",
            voice_pipeline=getattr(request, "param", "cascade"),
            voice_turn_detection="vad",
        )


async def _call(service: Served, person: Person, path: str) -> None:
    """Asks the question in the conversation, by `/ws/voice`."""
    url = f"{service.url.replace('http', 'ws', 1)}/ws/voice?conversation_id={path[-36:]}"
    headers = {"authorization": person.http.headers["authorization"]}
    async with calling(url, additional_headers=headers) as caller:
        await caller.wait_for("audio_complete")
        so_far = len(caller.got)
        await caller.say(speech(QUESTION))
        async with caller.listening():
            await caller.wait_for("audio_complete", after=so_far)


async def _long(writing: Person, addresses: Addresses) -> str:
    path = await writing.start("Long")
    middle = "I had my gall bladder removed in 2012."
    await fill(addresses, path, [ALLERGY, *chatter(500), middle, *chatter(498)])
    return path


async def test_a_spoken_answer_knows_the_start_of_2000_messages(
    service: Served, cloud: Cloud, writing: Person, addresses: Addresses
) -> None:
    path = await _long(writing, addresses)
    await _call(service, writing, path)
    prompt = json.dumps(cloud.model.requests[-1]["messages"])
    assert QUESTION in prompt
    for known in ("Ann", "allergic to penicillin", "fluoxetine"):
        assert known in prompt
    assert len(prompt) < BOUND


@pytest.mark.parametrize("service", ["realtime"], indirect=True)
async def test_a_speech_to_speech_model_knows_it_too(
    service: Served, cloud: Cloud, writing: Person, addresses: Addresses
) -> None:
    path = await _long(writing, addresses)
    await _call(service, writing, path)
    told = json.dumps(cloud.realtime.items)
    assert "allergic to penicillin" in told
    assert cloud.realtime.faults == []
    assert len(told) < BOUND


async def test_what_is_told_as_it_stands_is_not_summed_up(
    alice: Person, service: Served, writing: Person, addresses: Addresses
) -> None:
    path = await writing.start("Short")
    await fill(addresses, path, [ALLERGY, *chatter(10)])
    made = await alice.http.post("/api/v1/voice/session", json={"conversation_id": path[-36:]})
    async with job(service, made.json()["session_id"]) as running:
        plan = await running.plan()
    assert plan.summary is None
    assert len(plan.history) == 22
