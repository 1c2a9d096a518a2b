"""Words whose turn the session lets go of, since speech that is not barged over comes between."""

import pytest
from model_server import ModelServer, Say
from providers import Cloud, Open
from talking import Local, conversation, plan

COLD = "what helps against a cold"
CHEST_PAIN = "I have crushing chest pain and I cannot breathe"


@pytest.mark.long
async def test_what_was_asked_before_an_alarm_is_part_of_what_is_answered_after_it(
    opened: Open, cloud: Cloud, local: Local
) -> None:
    local.hears[:] = [COLD, CHEST_PAIN]
    resources = await opened(stt_provider="offline", voice_endpointing_min=1.5)
    async with conversation(resources, plan("cascade")) as talk:
        await talk.say(COLD)
        await talk.rest(0.6)
        await talk.say(CHEST_PAIN)
        await talk.until(lambda: cloud.model.requests, within=40)
        turns = talk.desk.turns
    assert turns[0].text == f"{COLD} {CHEST_PAIN}"
    assert turns[0].triage is not None
    assert turns[0].triage["level"] == "emergency"
    assert COLD in cloud.model.requests[0]["messages"][-1]["content"]


async def test_a_question_is_answered_although_a_noise_follows_it_for_whose_words_one_waits(
    opened: Open, cloud: Cloud, local: Local
) -> None:
    local.hears[:] = [COLD, ""]
    local.takes[:] = [0.0, 3.0]
    cloud.model = ModelServer([[Say("Rest and drink.")]])
    resources = await opened(
        stt_provider="offline", voice_endpointing_min=1.2, voice_endpointing_max=1.2
    )
    async with conversation(resources, plan("cascade")) as talk:
        await talk.say(COLD)
        await talk.rest(0.6)
        await talk.say("ah ah ah ah")
        turns = await talk.turns(2, within=30)
    assert "One moment, please." in talk.ear.sentences, "what passes the time is heard"
    assert [turn.text for turn in turns] == [COLD, "Rest and drink."], "and no turn"
