"""A reply whose sound is made while something that is not barged over is still said."""

import asyncio

import pytest
from model_server import ModelServer, Say
from providers import Cloud, Open
from scripted_conversation import conversing
from talking import Desk, conversation, plan

COLD = "What helps against a cold?"
CHEST_PAIN = "I have crushing chest pain and I cannot breathe"
LONG = " ".join(["A cold passes by itself and rest helps a great deal."] * 2)


async def test_a_reply_behind_a_protected_sentence_is_not_taken_for_silence(
    opened: Open, cloud: Cloud
) -> None:
    cloud.model = ModelServer([[Say(LONG)]])
    desk = Desk()
    async with conversing(await opened(), desk) as held:
        held.talk.say("Please stay on the line.", protected=True)
        held.typed(COLD)
        async with asyncio.timeout(30):
            while len(desk.turns) < 3:
                assert not held.talk.stuck
                await asyncio.sleep(0.02)
    assert desk.turns[-1].text == LONG


@pytest.mark.long
async def test_a_reply_behind_an_alarm_is_heard_to_its_end(opened: Open, cloud: Cloud) -> None:
    cloud.model = ModelServer([[Say(LONG)]])
    async with conversation(await opened(), plan("cascade")) as talk:
        await talk.supervisor.say_typed(CHEST_PAIN)
        turns = await talk.turns(3, within=60)
    assert (turns[2].text, turns[2].interrupted) == (LONG, False)
