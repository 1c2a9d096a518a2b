"""A conversation whose session hears nothing: the test says what is heard."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime

from livekit.agents import AgentSession
from livekit.agents.voice.turn import EndpointingOptions
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

USUAL = EndpointingOptions(mode="fixed", min_delay=0.1, max_delay=0.1)


@asynccontextmanager
async def conversing(resources: Resources, desk: Desk) -> AsyncIterator[Conversation]:
    """One that was started, and is ended with all its turns recorded."""
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
    await session.start(Speaker(conversation, pipes.speech, conversation.talk.meter), record=False)
    conversation.talk.watch_output()
    recording = asyncio.create_task(ledger.run())
    try:
        yield conversation
    finally:
        await session.aclose()
        conversation.hear_no_more()
        ledger.close(datetime.now(UTC))
        await recording
        await pipes.aclose()


async def hear(conversation: Conversation, words: str, sure: float = 0.9) -> None:
    """Somebody said this a moment ago."""
    stretch = Stretch(time.time() - 1.5, time.time())
    conversation.speech_began(stretch)
    conversation.speech_ended(stretch)
    assert conversation.heard(Heard(words, sure), stretch)
    await conversation.ready()


async def take_up(conversation: Conversation) -> None:
    """Takes up what was heard, for which the session gives no turn."""
    await asyncio.sleep(USUAL["max_delay"] + LET_GO_AFTER + 0.1)
    conversation.take_up()
