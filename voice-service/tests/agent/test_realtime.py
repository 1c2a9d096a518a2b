"""What is particular to a speech-to-speech model: tools, its own renewal, where its data goes."""

import socket
from typing import Any

import pytest
from providers import Cloud, Open
from realtime_server import Call
from talking import Local, conversation, plan

from contracts.voice import Changes, VoiceSettings
from voice_service.agent import phrases

ASKED = "what helps against a cold"
MOST_SILENT = 2.0
ENDPOINTING = 0.45
"""Seconds from the end of the speech to the committed end of the turn."""


async def test_the_library_is_searched_by_tool_and_cited(opened: Open, cloud: Cloud) -> None:
    cloud.realtime.hears = ["what helps against a cold"]
    cloud.realtime.says = [
        Call("search_library", {"query": "common cold treatment"}),
        "According to the NHS, rest helps.",
    ]
    resources = await opened()
    wanted = VoiceSettings(voice_id="cedar", max_output_tokens=300)
    async with conversation(
        resources, plan("realtime", instructions="Be brief.", voice_settings=wanted)
    ) as talk:
        await talk.say("what helps against a cold")
        turns = await talk.turns(2)
    output = next(item for item in cloud.realtime.items if item["type"] == "function_call_output")
    assert "<passage" in output["output"]
    assert turns[1].text == "According to the NHS, rest helps."
    assert turns[1].citations
    first = cloud.realtime.sessions[0]
    assert first["audio"]["output"]["voice"] == "cedar"
    assert first["max_output_tokens"] == 300
    assert any("Be brief." in each.get("instructions", "") for each in cloud.realtime.sessions)
    assert cloud.realtime.faults == []


async def test_a_change_of_the_longest_answer_reaches_a_connected_model(
    opened: Open, cloud: Cloud
) -> None:
    cloud.realtime.hears = ["what helps against a cold"]
    resources = await opened()
    async with conversation(resources, plan("realtime")) as talk:
        await talk.until(lambda: cloud.realtime.sessions)
        talk.desk.news.put_nowait(
            Changes(cursor="1", voice_settings=VoiceSettings(max_output_tokens=20))
        )
        await talk.until(
            lambda: any(one.get("max_output_tokens") == 20 for one in cloud.realtime.sessions)
        )
    assert cloud.realtime.connections == 1
    assert cloud.realtime.faults == []


async def test_a_model_that_searches_has_its_time_again_and_the_caller_is_not_left_in_silence(
    opened: Open, cloud: Cloud
) -> None:
    cloud.realtime.hears = [ASKED]
    cloud.realtime.says = [Call("search_library", {"query": "cold"}), "Rest helps."]
    cloud.realtime.delay = 0.9
    resources = await opened()
    async with conversation(resources, plan("realtime")) as talk:
        ended = await talk.say(ASKED)
        turns = await talk.turns(2, within=30)
        last = talk.ear.played[-1][0]
    assert turns[1].text.endswith("Rest helps.")
    assert turns[1].citations
    assert cloud.model.requests == []
    assert phrases.FILLERS[0] in talk.ear.sentences
    assert talk.ear.longest_silence(ended, last) <= MOST_SILENT + ENDPOINTING


async def test_an_answer_as_long_as_it_may_be_is_no_failure(opened: Open, cloud: Cloud) -> None:
    cloud.realtime.hears = ["what helps against a cold"]
    cloud.realtime.says = ["Rest helps, and so does plenty of water."]
    cloud.realtime.most = 4
    resources = await opened()
    wanted = VoiceSettings(max_output_tokens=20)
    async with conversation(resources, plan("realtime", voice_settings=wanted)) as talk:
        await talk.say("what helps against a cold")
        turns = await talk.turns(2)
    assert turns[1].text == "Rest helps, and so"
    assert cloud.realtime.faults == []


async def test_a_tool_that_does_not_exist_has_a_spoken_outcome(opened: Open, cloud: Cloud) -> None:
    cloud.realtime.hears = ["book me a flight"]
    cloud.realtime.says = [Call("book_flight", {}), "I cannot do that."]
    resources = await opened()
    async with conversation(resources, plan("realtime")) as talk:
        await talk.say("book me a flight")
        turns = await talk.turns(2)
    assert turns[1].text == "I cannot do that."


@pytest.mark.long
async def test_a_deaf_model_is_replaced_and_taken_back(
    opened: Open, cloud: Cloud, local: Local
) -> None:
    cloud.realtime.mode = "deaf"
    cloud.speech.hears = ["what helps against a cold"]
    resources = await opened(voice_timeout=120.0)
    async with conversation(resources, plan("realtime")) as talk:
        await talk.say("what helps against a cold")
        await talk.turns(2, within=30)
        await talk.quiet()
        cloud.realtime.mode = "works"
        cloud.realtime.hears = ["thank you, and what about a fever"]
        cloud.realtime.says = ["Drink a lot."]
        await talk.rest(16)
        await talk.say("thank you, and what about a fever")
        turns = await talk.turns(4, within=30)
    assert turns[3].text.endswith("Drink a lot.")
    assert cloud.realtime.connections == 2
    told = [str(item.get("content")) for item in cloud.realtime.items]
    assert any("what helps against a cold" in each for each in told)


async def test_nothing_goes_to_a_host_that_was_not_configured(
    opened: Open, cloud: Cloud, local: Local, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Seen from Python: names that are looked up, and addresses that are connected to."""
    asked: set[str] = set()
    look_up, connect = socket.getaddrinfo, socket.socket.connect

    def looked_up(host: Any, *args: Any, **more: Any) -> Any:
        asked.add(str(host))
        return look_up(host, *args, **more)

    def connected(self: socket.socket, address: Any) -> None:
        if isinstance(address, tuple):
            asked.add(str(address[0]))
        connect(self, address)

    monkeypatch.setattr(socket, "getaddrinfo", looked_up)
    monkeypatch.setattr(socket.socket, "connect", connected)
    for name, value in {
        "LIVEKIT_DEV_MODE": "1", "LIVEKIT_API_KEY": "key", "LIVEKIT_API_SECRET": "s" * 32,
        "LIVEKIT_URL": "wss://x.livekit.cloud", "LIVEKIT_OBSERVABILITY_URL": "https://y.invalid",
    }.items():  # fmt: skip
        monkeypatch.setenv(name, value)
    cloud.realtime.hears = ["what helps against a cold"]
    resources = await opened(voice_turn_detection="model")
    async with conversation(resources, plan("realtime", greeted=False)) as talk:
        await talk.turns(1)
        await talk.say("what helps against a cold")
        await talk.turns(3, within=30)
    assert asked <= {"127.0.0.1", "localhost", "None"}
