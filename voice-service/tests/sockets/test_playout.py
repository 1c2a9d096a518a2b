"""Paced speech: never far ahead, one report a reply, and a position that can be trusted."""

import asyncio
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import pytest
from livekit import rtc
from livekit.agents.types import TimedString
from livekit.agents.voice.io import PlaybackFinishedEvent

from voice_service.sockets.playout import LEAD, SAMPLE_RATE, PacedOutput, SpokenText


@dataclass
class Recorder:
    """A player that writes down what reaches it, and when."""

    obeys: bool = True
    held: float = 0.0
    events: list[str] = field(default_factory=list)
    said: list[str] = field(default_factory=list)
    sound: list[tuple[float, int]] = field(default_factory=list)

    @property
    def seconds(self) -> float:
        return sum(size for _, size in self.sound) / 2 / SAMPLE_RATE

    def begin(self) -> None:
        self.events.append("begin")

    def play(self, pcm: bytes) -> None:
        self.sound.append((time.monotonic(), len(pcm)))

    def say(self, sentence: str) -> None:
        self.said.append(sentence)

    def pause(self) -> None:
        self.events.append("pause")

    def resume(self) -> None:
        self.events.append("resume")

    def drain(self) -> None:
        self.events.append("drain")

    def end(self, *, interrupted: bool) -> None:
        self.events.append("cut" if interrupted else "end")


@dataclass
class Stage:
    """An output, its player and what it reported."""

    output: PacedOutput
    player: Recorder
    text: SpokenText
    reports: list[PlaybackFinishedEvent]

    async def speak(self, seconds: float, rate: int = SAMPLE_RATE) -> None:
        await self.output.capture_frame(silence(seconds, rate))

    async def finished(self) -> PlaybackFinishedEvent:
        async with asyncio.timeout(5):
            return await self.output.wait_for_playout()


def silence(seconds: float, rate: int = SAMPLE_RATE) -> rtc.AudioFrame:
    samples = round(seconds * rate)
    return rtc.AudioFrame(bytes(2 * samples), rate, 1, samples)


def stage(*, obeys: bool = True) -> Stage:
    player = Recorder(obeys=obeys)
    output = PacedOutput(player)
    reports: list[PlaybackFinishedEvent] = []
    output.on("playback_finished", reports.append)
    return Stage(output, player, SpokenText(output, player), reports)


@pytest.fixture
async def room() -> AsyncIterator[Stage]:
    made = stage()
    yield made
    made.output.close()


async def test_speech_is_given_at_most_a_lead_ahead_of_its_playing(room: Stage) -> None:
    await room.speak(1.0)
    room.output.flush()
    done = await room.finished()
    assert done.playback_position == pytest.approx(1.0, abs=0.001)
    assert not done.interrupted
    started, given = room.player.sound[0][0], 0.0
    for at, size in room.player.sound:
        given += size / 2 / SAMPLE_RATE
        assert given - (at - started) <= LEAD + 0.01
    assert room.player.seconds == pytest.approx(1.0, abs=0.001)
    assert time.monotonic() - started >= 0.99


async def test_after_a_break_in_the_making_nothing_comes_in_a_heap(room: Stage) -> None:
    await room.speak(0.1)
    await asyncio.sleep(0.6)
    began = time.monotonic()
    await room.speak(0.8)
    room.output.flush()
    await room.finished()
    assert room.player.seconds == pytest.approx(0.9, abs=0.001)
    assert time.monotonic() - began >= 0.75
    early = [size for at, size in room.player.sound if began <= at < began + 0.05]
    assert sum(early) / 2 / SAMPLE_RATE <= LEAD + 0.06


async def test_each_reply_is_reported_once(room: Stage) -> None:
    for _ in range(3):
        await room.speak(0.1)
        room.output.flush()
        room.output.flush()
        await room.finished()
    room.output.clear_buffer()
    room.output.clear_buffer()
    await asyncio.sleep(0.05)
    assert [report.interrupted for report in room.reports] == [False] * 3
    assert room.player.events == ["begin", "drain", "end"] * 3


async def test_a_flush_without_speech_reports_nothing(room: Stage) -> None:
    room.output.flush()
    room.output.clear_buffer()
    await asyncio.sleep(0.02)
    assert room.reports == []
    assert room.player.events == []


async def test_a_cut_reports_where_the_player_was(room: Stage) -> None:
    await room.speak(2.0)
    room.output.flush()
    await asyncio.sleep(0.3)
    room.output.clear_buffer()
    done = await room.finished()
    assert done.interrupted
    assert done.playback_position == pytest.approx(0.3, abs=0.05)
    assert done.playback_position < room.player.seconds <= done.playback_position + LEAD + 0.01
    given = room.player.seconds
    await asyncio.sleep(0.1)
    assert room.player.seconds == given
    assert room.player.events[-1] == "cut"


async def test_a_cut_before_the_last_frame_is_reported_when_its_maker_is_done(
    room: Stage,
) -> None:
    await room.speak(1.0)
    await asyncio.sleep(0.1)
    room.output.clear_buffer()
    await room.speak(1.0)
    assert room.reports == []
    room.output.flush()
    done = await room.finished()
    assert done.playback_position == pytest.approx(0.1, abs=0.05)
    assert len(room.reports) == 1


async def test_a_pause_stops_the_clock_and_the_speech(room: Stage) -> None:
    await room.speak(0.6)
    room.output.flush()
    await asyncio.sleep(0.2)
    room.output.pause()
    given = room.player.seconds
    await asyncio.sleep(0.5)
    assert room.player.seconds == given
    assert room.reports == []
    room.output.resume()
    before = time.monotonic()
    done = await room.finished()
    assert done.playback_position == pytest.approx(0.6, abs=0.001)
    assert time.monotonic() - before == pytest.approx(0.4, abs=0.1)
    assert room.player.events == ["begin", "pause", "resume", "drain", "end"]


async def test_a_player_that_cannot_stop_has_heard_all_that_it_was_given() -> None:
    deaf = stage(obeys=False)
    await deaf.speak(2.0)
    deaf.output.flush()
    await asyncio.sleep(0.2)
    deaf.output.clear_buffer()
    done = await deaf.finished()
    assert done.playback_position == pytest.approx(deaf.player.seconds, abs=0.001)


async def test_other_rates_are_brought_to_the_rate_of_the_socket(room: Stage) -> None:
    await room.speak(0.2, 22_050)
    await room.speak(0.2, 48_000)
    room.output.flush()
    done = await room.finished()
    assert done.playback_position == pytest.approx(0.4, abs=0.02)


async def test_nothing_is_given_while_nobody_is_there(room: Stage) -> None:
    await room.speak(0.4)
    room.output.flush()
    await asyncio.sleep(0.1)
    room.output.hold()
    given = room.player.seconds
    await asyncio.sleep(0.4)
    assert room.player.seconds == given
    room.output.release()
    done = await room.finished()
    assert done.playback_position == pytest.approx(0.4, abs=0.001)
    assert "pause" not in room.player.events


async def test_a_cut_keeps_the_words_that_had_begun(room: Stage) -> None:
    for place, word in enumerate(("One ", "two ", "three ", "four.")):
        timed = TimedString(word, start_time=place * 0.25, end_time=place * 0.25 + 0.25)
        await room.text.capture_text(timed)
        await room.speak(0.25)
    room.text.flush()
    room.output.flush()
    await asyncio.sleep(0.6)
    room.output.clear_buffer()
    done = await room.finished()
    assert 0.5 < done.playback_position < 0.75
    assert done.synchronized_transcript == "One two three "


async def test_sentences_are_said_when_they_begin_and_the_first_at_once(room: Stage) -> None:
    for place, word in enumerate(["Yes.", "It", "is", "so.", "Ask", "again.", ""][:-1]):
        await room.text.capture_text(
            TimedString(f"{word} ", start_time=place * 0.3, end_time=place * 0.3 + 0.3)
        )
    assert room.player.said == ["Yes."]
    room.text.flush()
    await room.speak(1.8)
    room.output.flush()
    assert room.player.said == ["Yes."]
    await asyncio.sleep(0.3)
    assert room.player.said == ["Yes.", "It is so."]
    done = await room.finished()
    assert room.player.said == ["Yes.", "It is so.", "Ask again."]
    assert done.synchronized_transcript == "Yes. It is so. Ask again. "
