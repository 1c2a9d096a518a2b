"""Words that are taken up before the session gives a turn for them, which then comes late."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime

import pytest
from livekit.agents import AgentSession
from livekit.agents.llm import ChatMessage
from livekit.agents.voice.turn import EndpointingOptions
from model_server import ModelServer, Say
from providers import Cloud, Open
from talking import Desk, Ear, plan

from assistant.turns import Turn
from voice_service.agent import phrases, pipelines
from voice_service.agent.conversation import LET_GO_AFTER, Conversation
from voice_service.agent.gate import Gate
from voice_service.agent.hearing import Stretch
from voice_service.agent.ledger import Ledger
from voice_service.agent.parts import Heard
from voice_service.agent.resources import Resources
from voice_service.agent.session import Built
from voice_service.agent.speaker import Replying, Sounding, Speaker
from voice_service.sockets.playout import PacedOutput

COLD = "what helps against a cold"
USUAL = EndpointingOptions(mode="fixed", min_delay=0.1, max_delay=0.1)


@asynccontextmanager
async def conversing(resources: Resources, desk: Desk) -> AsyncIterator[Conversation]:
    """A conversation whose session hears nothing: the test says what is heard."""
    history: list[Turn] = []
    shop = pipelines.Shop(plan("cascade"), resources, lambda: history)
    pipes = pipelines.assemble(shop, phrases.FILLERS)
    ledger = Ledger(desk, next_seq=1, told=lambda turn: conversation.told(turn))
    conversation = Conversation(
        history,
        gate=Gate("en-GB", lambda: history),
        ledger=ledger,
        pipes=pipes,
        show=lambda _: None,
    )
    session: AgentSession[None] = AgentSession(llm=Replying(), tts=Sounding())
    session.output.audio = PacedOutput(Ear())
    conversation.attach(Built(session, None, USUAL, str))
    await session.start(Speaker(conversation, pipes.speech, pipes.rhythm), record=False)
    recording = asyncio.create_task(ledger.run())
    try:
        yield conversation
    finally:
        await session.aclose()
        ledger.close(datetime.now(UTC))
        await recording
        await pipes.aclose()


async def hear(conversation: Conversation, words: str) -> None:
    """Somebody said this a moment ago."""
    stretch = Stretch(time.time() - 1.5, time.time())
    conversation.speech_began(stretch)
    conversation.speech_ended(stretch)
    assert conversation.heard(Heard(words, 0.9), stretch)
    await conversation.ready()


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
        await asyncio.sleep(USUAL["max_delay"] + LET_GO_AFTER + 0.1)
        conversation.take_up()
        assert conversation.busy()
        await conversation.turn_completed(ChatMessage(role="user", content=[given]))
        async with asyncio.timeout(15):
            while len(desk.turns) < 2:
                await asyncio.sleep(0.02)
    assert [turn.text for turn in desk.turns] == [COLD, "Rest and drink."]


async def test_the_same_words_said_again_are_a_turn(opened: Open, cloud: Cloud) -> None:
    cloud.model = ModelServer([[Say("Rest and drink.")], [Say("As I said: rest.")]])
    desk = Desk()
    async with conversing(await opened(), desk) as conversation:
        await hear(conversation, COLD)
        await asyncio.sleep(USUAL["max_delay"] + LET_GO_AFTER + 0.1)
        conversation.take_up()
        async with asyncio.timeout(15):
            while len(desk.turns) < 2 or conversation.busy():
                await asyncio.sleep(0.02)
        await hear(conversation, COLD)
        await conversation.turn_completed(ChatMessage(role="user", content=[COLD]))
    assert [turn.text for turn in desk.turns if turn.role == "user"] == [COLD, COLD]
