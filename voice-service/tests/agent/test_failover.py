"""Each cloud pipeline against a provider that refuses, breaks off or hangs."""

import pytest
from model_server import Cut, Hang, ModelServer, Refuse, Say, Step
from providers import Cloud, Open
from talking import Local, conversation, plan

MOST_SILENT = 2.0
ENDPOINTING = 0.45
"""Seconds from the end of the speech to the committed end of the turn."""
ASKED = "what helps against a cold"

SAMPLE = [("realtime", "hangs"), ("cascade", "dies")]
WHOLE = [
    (pipeline, how)
    for pipeline in ("realtime", "cascade")
    for how in ("works", "refuses", "dies", "hangs")
]


def _set(cloud: Cloud, local: Local, pipeline: str, how: str) -> None:
    """Scripts every provider of a pipeline."""
    for hearing in (cloud.realtime, cloud.speech, local):
        hearing.hears = [ASKED]
    local.hears[:] = [ASKED]
    cloud.realtime.says = ["Rest and drink plenty of water, and sleep as much as you can."]
    answer: list[Step] = [Say("Rest and drink "), Say("plenty of water. "), Say("Sleep well.")]
    cloud.realtime.mode = how  # type: ignore[assignment]
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
