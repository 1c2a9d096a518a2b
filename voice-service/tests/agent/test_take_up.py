"""Words that are taken up before the session gives a turn for them, which then comes late."""

import asyncio
import time

import pytest
from livekit.agents.llm import ChatMessage
from model_server import ModelServer, Say
from providers import Cloud, Open
from scripted_conversation import conversing, hear, take_up
from talking import Desk

from voice_service.agent import phrases
from voice_service.agent.hearing import Stretch

COLD = "what helps against a cold"
CHEST_PAIN = "I have crushing chest pain"


@pytest.mark.parametrize("given", [COLD, "against a cold"])
async def test_a_turn_that_comes_after_it_was_taken_up_is_none_of_its_own(
    opened: Open, cloud: Cloud, given: str
) -> None:
    cloud.model = ModelServer([[Say("Rest and drink.")]])
    desk = Desk()
    async with conversing(await opened(), desk) as conversation:
        await hear(conversation, COLD)
        conversation.take_up()
        assert not conversation.busy(), "the session may still give a turn"
        await take_up(conversation)
        assert conversation.busy()
        await conversation.turn_completed(ChatMessage(role="user", content=[given]))
        async with asyncio.timeout(15):
            while len(desk.turns) < 2:
                await asyncio.sleep(0.02)
    told, reply = [turn.text for turn in desk.turns]
    assert told == COLD
    # Whoever waited for long enough was told so.
    assert reply.removeprefix(f"{phrases.FILLERS[0]} ") == "Rest and drink."


async def test_a_turn_that_comes_late_is_none_of_its_own_also_before_words_that_were_never_found(
    opened: Open, cloud: Cloud
) -> None:
    cloud.model = ModelServer([[Say("Rest and drink.")], [Say("It is no use.")]])
    desk = Desk()
    async with conversing(await opened(), desk) as conversation:
        await hear(conversation, COLD)
        stretch = Stretch(time.time() - 1.5, time.time())
        conversation.speech_began(stretch)
        for place in range(len(CHEST_PAIN)):
            conversation.partly(CHEST_PAIN[: place + 1], stretch)
        conversation.speech_ended(stretch)
        conversation.unheard(stretch)
        async with asyncio.timeout(20):
            while conversation.busy():
                await asyncio.sleep(0.02)
        await take_up(conversation)
        await conversation.turn_completed(ChatMessage(role="user", content=[COLD]))
    assert [turn.text for turn in desk.turns if turn.role == "user"] == [f"{COLD} {CHEST_PAIN}"]


async def test_the_same_words_said_again_are_a_turn(opened: Open, cloud: Cloud) -> None:
    cloud.model = ModelServer([[Say("Rest and drink.")], [Say("As I said: rest.")]])
    desk = Desk()
    async with conversing(await opened(), desk) as conversation:
        await hear(conversation, COLD)
        await take_up(conversation)
        async with asyncio.timeout(15):
            while len(desk.turns) < 2 or conversation.busy():
                await asyncio.sleep(0.02)
        await hear(conversation, COLD)
        await conversation.turn_completed(ChatMessage(role="user", content=[COLD]))
    assert [turn.text for turn in desk.turns if turn.role == "user"] == [COLD, COLD]
