"""Each cloud pipeline against a provider that refuses, breaks off or hangs."""

import pytest
from model_server import Cut, Hang, ModelServer, Refuse, Say, Step
from providers import Cloud, Open
from talking import Local, conversation, plan

from voice_service.agent import phrases

MOST_SILENT = 2.0
ENDPOINTING = 0.45
"""Seconds from the end of the speech to the committed end of the turn."""
ASKED = "what helps against a cold"

SAMPLE = [("realtime", "hangs"), ("cascade", "dies")]
WHOLE = [
    (pipeline, how)
    for pipeline in ("realtime", "cascade")
    for how in ("works", "refuses", "dies", "hangs")
] + [("realtime", "mute")]
"""A model that is mute has heard the caller, and nobody else in the cloud answers either."""


def _set(cloud: Cloud, local: Local, pipeline: str, how: str) -> None:
    """Scripts every provider of a pipeline."""
    for hearing in (cloud.realtime, cloud.speech, local):
        hearing.hears = [ASKED]
    local.hears[:] = [ASKED]
    cloud.realtime.says = ["Rest and drink plenty of water, and sleep as much as you can."]
    answer: list[Step] = [Say("Rest and drink "), Say("plenty of water. "), Say("Sleep well.")]
    cloud.realtime.mode = how  # type: ignore[assignment]
    how = "hangs" if how == "mute" else how
    cloud.speech.hearing = cloud.speech.speaking = how  # type: ignore[assignment]
    scripts: dict[str, list[Step]] = {
        "works": answer, "refuses": [Refuse(401)], "dies": [Say("Rest and "), Cut()],
        "hangs": [Hang()],
    }  # fmt: skip
    cloud.model = ModelServer([scripts[how]])


async def _drill(opened: Open, cloud: Cloud, local: Local, pipeline: str, how: str) -> None:
    _set(cloud, local, pipeline, how)
    resources = await opened()
    async with conversation(resources, plan(pipeline)) as talk:  # type: ignore[arg-type]
        ended = await talk.say(ASKED)
        turns = await talk.turns(2, within=30)
        last = talk.ear.played[-1][0]
    assert talk.ear.longest_silence(ended, last) <= MOST_SILENT + ENDPOINTING
    assert [turn.role for turn in turns] == ["user", "assistant"]
    assert turns[0].text == ASKED
    assert cloud.realtime.faults == cloud.speech.faults == []
    assert cloud.realtime.responses or how != "mute"
    assert all(turns[1].text.count(filler) <= 1 for filler in phrases.FILLERS)


@pytest.mark.parametrize(("pipeline", "how"), SAMPLE)
async def test_a_provider_fails_and_the_caller_hears_an_answer(
    opened: Open, cloud: Cloud, local: Local, pipeline: str, how: str
) -> None:
    await _drill(opened, cloud, local, pipeline, how)


@pytest.mark.long
@pytest.mark.parametrize(("pipeline", "how"), WHOLE)
async def test_every_failure_of_every_pipeline(
    opened: Open, cloud: Cloud, local: Local, pipeline: str, how: str
) -> None:
    await _drill(opened, cloud, local, pipeline, how)


@pytest.mark.parametrize("pipeline", ["offline", "cascade"])
async def test_an_answer_that_stops_in_its_middle_is_gone_on_with(
    opened: Open, cloud: Cloud, local: Local, pipeline: str
) -> None:
    """In the cascade the voice stalls, with the offline voice the model does."""
    _set(cloud, local, "cascade", "works")
    if pipeline == "cascade":
        cloud.speech.speaking = "stalls"
    else:
        cloud.model = ModelServer([[Say("Rest and drink plenty of water. Then "), Hang()]])
        cloud.speech.speaking = "refuses"
    resources = await opened()
    async with conversation(resources, plan("cascade")) as talk:
        ended = await talk.say(ASKED)
        turns = await talk.turns(2, within=30)
        last = talk.ear.played[-1][0]
    assert talk.ear.longest_silence(ended, last) <= MOST_SILENT + ENDPOINTING
    assert [turn.role for turn in turns] == ["user", "assistant"]
    assert len(turns[1].text.split()) >= 8, turns[1].text


async def test_an_utterance_that_is_not_played_is_given_up(
    opened: Open, cloud: Cloud, local: Local
) -> None:
    _set(cloud, local, "cascade", "works")
    cloud.model = ModelServer([[Say("Rest well.")]])
    resources = await opened()
    async with conversation(resources, plan("cascade")) as talk:
        await talk.supervisor.say_typed(ASKED)
        await talk.speaking()
        talk.output.hold()
        turns = await talk.turns(2, within=10)
        talk.output.release()
        assert (await talk.turns(3, within=10))[2].text == phrases.GO_ON
    assert turns[1].interrupted
