"""Where speech is found: as livekit's own detector finds it, for the session and its follower."""

import asyncio
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from calling import speech
from livekit import rtc
from livekit.agents import inference, vad

from medbot import conformance
from voice_service.agent.detecting import LONG, LONGEST, LULL, Detector, Thresholds

THRESHOLDS = Thresholds(min_speech=0.05, min_silence=0.3, padding=0.5)
_EDGES = {vad.VADEventType.START_OF_SPEECH, vad.VADEventType.END_OF_SPEECH}


def _speech(rate: int) -> bytes:
    """Silence, a question, silence, the question again, silence; faint noise beneath."""
    question = np.frombuffer(conformance.question(None), dtype=np.int16)
    quiet = np.zeros(16_000, dtype=np.int16)
    sound = np.concatenate([quiet, question, quiet, question, quiet]).astype(float)
    sound += np.random.default_rng(7).normal(0, 20, sound.size)
    places = np.arange(0, sound.size - 1, 16_000 / rate)
    return bytes(np.interp(places, np.arange(sound.size), sound).astype(np.int16).tobytes())


async def _found(stream: vad.VADStream, pcm: bytes, rate: int) -> list[vad.VADEvent]:
    size = rate // 50 * 2
    for at in range(0, len(pcm), size):
        piece = pcm[at : at + size]
        stream.push_frame(rtc.AudioFrame(piece, rate, 1, len(piece) // 2))
        await asyncio.sleep(0)
    stream.end_input()
    return [event async for event in stream]


def _edges(events: Sequence[vad.VADEvent]) -> list[tuple[object, ...]]:
    return [
        (
            event.type,
            event.samples_index,
            round(event.speech_duration, 3),
            round(event.silence_duration, 3),
            len(event.frames[0].data),
            event.speaking,
        )
        for event in events
        if event.type in _EDGES
    ]


@pytest.mark.parametrize("rate", [16_000, 24_000, 48_000])
async def test_it_finds_what_livekits_detector_finds(rate: int) -> None:
    theirs = inference.VAD(
        min_speech_duration=THRESHOLDS.min_speech,
        min_silence_duration=THRESHOLDS.min_silence,
        prefix_padding_duration=THRESHOLDS.padding,
    ).stream()
    pcm = _speech(rate)
    expected, events = (
        await _found(theirs, pcm, rate),
        await _found(Detector(THRESHOLDS).stream(), pcm, rate),
    )
    await theirs.aclose()
    assert len(_edges(events)) >= 4
    assert _edges(events) == _edges(expected)
    looks = [event for event in events if event.type is vad.VADEventType.INFERENCE_DONE]
    their_looks = [event for event in expected if event.type is vad.VADEventType.INFERENCE_DONE]
    near = 0.0 if rate == 16_000 else 0.05  # the resampler dithers
    assert [event.probability for event in looks] == pytest.approx(
        [event.probability for event in their_looks], abs=near
    )
    if rate == 16_000:
        assert [event.raw_accumulated_silence for event in looks] == [
            event.raw_accumulated_silence for event in their_looks
        ]


@pytest.mark.parametrize(("between", "longest"), [(0.2, LONG + 3), (0.0, LONGEST + 1)])
async def test_sound_that_does_not_pause_is_cut_and_none_of_it_is_lost(
    between: float, longest: float
) -> None:
    """In a lull between two words, or else with the last of it given twice."""
    sentence = _trimmed("we all go away in the early morning and rely on our own oars all year")
    pause = np.zeros(round(16_000 * between), dtype=np.int16)
    sound = np.tile(np.concatenate([sentence, pause]), 25)[: 16_000 * 65].astype(float)
    sound = np.concatenate([np.zeros(16_000), sound, np.zeros(16_000)])
    sound += np.random.default_rng(7).normal(0, 20, sound.size)
    pcm = sound.astype(np.int16).tobytes()
    events = await _found(Detector(THRESHOLDS).stream(), pcm, 16_000)
    ends = [e.frames[0] for e in events if e.type is vad.VADEventType.END_OF_SPEECH]
    heard = [(pcm.find(bytes(f.data.cast("B"))) / 32_000, f.duration) for f in ends]
    assert len(heard) >= 3
    assert all(seconds <= longest for _, seconds in heard)
    for (began, seconds), (next_began, _) in pairwise(heard):
        overlap = began + seconds - next_began
        assert overlap == pytest.approx(LULL if between else THRESHOLDS.padding, abs=0.06)
    assert heard[0][0] < 1.0
    assert sum(heard[-1]) > 66.0


def _trimmed(words: str) -> np.ndarray[Any, np.dtype[np.int16]]:
    """Speech without the silence around it."""
    sound = np.frombuffer(speech(words), dtype=np.int16)
    (loud,) = np.nonzero(np.abs(sound) > 300)
    return sound[loud[0] : loud[-1]]


async def test_a_follower_is_told_while_it_follows_and_gets_the_sound_of_speech() -> None:
    detector, told = Detector(THRESHOLDS), list[vad.VADEvent]()
    with detector.followed(told.append):
        events = await _found(detector.stream(), _speech(16_000), 16_000)
    await _found(detector.stream(), _speech(16_000), 16_000)
    assert told == events
    assert all(event.frames for event in told if event.speaking)


async def test_a_flush_forgets_and_what_has_ended_takes_no_more() -> None:
    stream = Detector(THRESHOLDS).stream()
    pcm = _speech(16_000)
    for at in range(0, 70_000, 640):
        stream.push_frame(rtc.AudioFrame(pcm[at : at + 640], 16_000, 1, 320))
    stream.flush()
    assert _edges(await _found(stream, bytes(64_000), 16_000))[1:] == []
    with pytest.raises(RuntimeError):
        stream.push_frame(rtc.AudioFrame(bytes(640), 16_000, 1, 320))
