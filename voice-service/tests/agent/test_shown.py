"""What a room is shown of the agent's words is what is recorded of them."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime

import pytest
from livekit.agents import AgentSession, StopResponse
from livekit.agents.llm import ChatMessage
from livekit.agents.voice import io
from livekit.agents.voice.transcription import TranscriptSynchronizer
from providers import Open
from talking import Desk, Ear, plan

from voice_service.agent import phrases, pipelines
from voice_service.agent.ledger import Ledger
from voice_service.agent.resources import Resources
from voice_service.agent.session import Witness
from voice_service.agent.speaker import Sounding, Speaker
from voice_service.agent.utterances import Utterances
from voice_service.sockets.playout import PacedOutput

WORDS = "Rest, drink something warm, and see a doctor when it lasts for longer than a week."


class Room(io.TextOutput):
    """The transcription of a room; each word takes a while on its way there."""

    def __init__(self, witness: Witness) -> None:
        super().__init__(label="room", next_in_chain=None)
        self.lag = 0.0
        self.segments: list[str] = [""]
        self._witness = witness

    async def capture_text(self, text: str) -> None:
        await asyncio.sleep(self.lag)
        self.segments[-1] += text
        self._witness.shown(text)

    def flush(self) -> None:
        self.segments.append("")
        self._witness.all_shown()

    def said(self) -> list[str]:
        return [segment.strip() for segment in self.segments if segment]


class Mute:
    """Has nothing to answer."""

    async def turn_completed(self, message: ChatMessage) -> None:
        raise StopResponse

    async def reply(self, text: str) -> AsyncGenerator[str]:
        raise AssertionError("nobody asked it")
        yield text


@dataclass
class Talk:
    utterances: Utterances
    room: Room
    desk: Desk

    async def shown(self, count: int) -> None:
        """Waits until so many words are shown of the last sentence."""
        async with asyncio.timeout(10):
            while len(self.room.segments[-1].split()) < count:
                await asyncio.sleep(0.01)


@asynccontextmanager
async def talking(resources: Resources) -> AsyncIterator[Talk]:
    """An agent that speaks to a room, and nobody who listens; its turns are recorded at the end."""
    desk = Desk()
    ledger = Ledger(desk, next_seq=1, told=lambda _: None)
    shop = pipelines.Shop(plan("offline"), resources, list)
    pipes = pipelines.assemble(shop, phrases.FILLERS)
    utterances = Utterances(ledger=ledger, pipes=pipes)
    session: AgentSession[None] = AgentSession(tts=Sounding(), use_tts_aligned_transcript=True)
    room = Room(utterances)
    synchronizer = TranscriptSynchronizer(
        next_in_chain_audio=PacedOutput(Ear()), next_in_chain_text=room
    )
    session.output.audio = synchronizer.audio_output
    session.output.transcription = synchronizer.text_output
    utterances.attach(session, str, in_room=True)
    await session.start(Speaker(Mute(), pipes.speech, utterances.meter), record=False)
    utterances.watch_output()
    recording = asyncio.create_task(ledger.run())
    try:
        yield Talk(utterances, room, desk)
        async with asyncio.timeout(10):
            while utterances.live or room.segments[-1]:
                await asyncio.sleep(0.01)
    finally:
        await session.aclose()
        await synchronizer.aclose()
        ledger.close(datetime.now(UTC))
        await recording
        await pipes.aclose()


@pytest.mark.parametrize("lag", [0.0, 0.15])
@pytest.mark.parametrize("words", [1, 4, 9])
async def test_words_on_their_way_when_it_is_cut_off_are_recorded(
    opened: Open, words: int, lag: float
) -> None:
    async with talking(await opened()) as talk:
        talk.room.lag = lag
        talk.utterances.say(WORDS)
        await talk.shown(words)
        talk.utterances.interrupt()
    (turn,) = talk.desk.turns
    assert turn.interrupted
    assert [turn.text] == talk.room.said()


async def test_what_follows_is_recorded_behind_it(opened: Open) -> None:
    async with talking(await opened()) as talk:
        talk.room.lag = 0.15
        talk.utterances.say(WORDS)
        await talk.shown(3)
        talk.utterances.interrupt()
        talk.utterances.say("One moment, please.", remember=False)
        talk.utterances.say("Call an ambulance now.", protected=True)
    first, last = talk.desk.turns
    assert (first.interrupted, last.interrupted) == (True, False)
    assert [first.text, "One moment, please.", last.text] == talk.room.said()
