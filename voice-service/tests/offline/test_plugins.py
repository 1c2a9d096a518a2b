"""Offline voice as an agent session uses it."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import recognising
from livekit import rtc
from livekit.agents import stt, tts

from voice_service.offline import opening, speech, voices


@pytest.fixture
async def offline(
    library: Path, model_folder: Path, tmp_path: Path
) -> AsyncIterator[opening.Offline]:
    """Opened over the model that is there."""
    settings = SimpleNamespace(library_dir=library, data_dir=tmp_path)
    built = opening.folder_of(settings)
    built.parent.mkdir()
    built.symlink_to(model_folder, target_is_directory=True)
    async with opening.open_offline(settings) as opened:
        yield opened


def _frames(pcm: bytes, rate: int = 16_000) -> list[rtc.AudioFrame]:
    step = rate // 50 * 2
    pieces = [pcm[at : at + step] for at in range(0, len(pcm), step)]
    return [rtc.AudioFrame(piece, rate, 1, len(piece) // 2) for piece in pieces]


async def _said(text: str) -> bytes:
    return await asyncio.to_thread(recognising.speech, text, "slt")


async def _heard(plugin: stt.STT[Any], *said: str) -> list[stt.SpeechEvent]:
    stream = plugin.stream()
    for text in said:
        for frame in _frames(await _said(text)):
            stream.push_frame(frame)
        stream.flush()
    stream.end_input()
    events = [event async for event in stream]
    await stream.aclose()
    return events


def _finals(events: list[stt.SpeechEvent]) -> list[str]:
    return [
        event.alternatives[0].text
        for event in events
        if event.type == stt.SpeechEventType.FINAL_TRANSCRIPT
    ]


async def test_a_stream_gives_words_so_far_then_all_with_a_confidence(
    offline: opening.Offline,
) -> None:
    async with offline.stt() as plugin:
        events = await _heard(plugin, "i have chest pain")
    kinds = [event.type for event in events]
    final = events[kinds.index(stt.SpeechEventType.FINAL_TRANSCRIPT)].alternatives[0]

    assert kinds[0] == stt.SpeechEventType.START_OF_SPEECH
    assert stt.SpeechEventType.INTERIM_TRANSCRIPT in kinds
    assert kinds[-2:] == [
        stt.SpeechEventType.END_OF_SPEECH,
        stt.SpeechEventType.RECOGNITION_USAGE,
    ]
    assert final.text == "I have chest pain"
    assert final.confidence > 0.5
    assert final.metadata == {"sure": True, "keyphrases": ["chest pain"], "read_back": []}


async def test_drugs_and_doses_are_told_to_be_said_back(offline: opening.Offline) -> None:
    async with offline.stt() as plugin:
        events = await _heard(plugin, "can i take ibuprofen with aspirin")
    (final,) = [e for e in events if e.type == stt.SpeechEventType.FINAL_TRANSCRIPT]

    assert (final.alternatives[0].metadata or {})["read_back"] == ["ibuprofen", "aspirin"]


async def test_each_flush_ends_an_utterance(offline: opening.Offline) -> None:
    async with offline.stt() as plugin:
        events = await _heard(plugin, "yes please", "i have chest pain")

    assert _finals(events) == ["Yes please", "I have chest pain"]


async def test_a_stream_that_is_dropped_leaves_the_next_one_clean(
    offline: opening.Offline,
) -> None:
    async with offline.stt() as plugin:
        dropped = plugin.stream()
        for frame in _frames(await _said("no thank you")):
            dropped.push_frame(frame)
        await asyncio.sleep(0.05)
        await dropped.aclose()
        events = await _heard(plugin, "i have chest pain")

    assert _finals(events) == ["I have chest pain"]


async def test_a_whole_recording_is_heard_at_another_rate(offline: opening.Offline) -> None:
    resampler = rtc.AudioResampler(16_000, 24_000)
    frames = [
        piece for frame in _frames(await _said("yes please")) for piece in resampler.push(frame)
    ]
    async with offline.stt() as plugin:
        event = await plugin.recognize(frames + resampler.flush())

    assert event.alternatives[0].text == "Yes please"


async def test_noise_is_not_taken_for_sure_words(offline: opening.Offline) -> None:
    pcm = await asyncio.to_thread(
        recognising.speech, "the parliament debated quantum shipping tariffs", "awb", 5
    )
    async with offline.stt() as plugin:
        event = await plugin.recognize(_frames(pcm))

    assert not (event.alternatives[0].metadata or {})["sure"]
    assert 0 < event.alternatives[0].confidence < 0.5  # zero would say that none is known


async def _spoken(stream: tts.SynthesizeStream) -> tuple[float, str, list[float]]:
    seconds, words, starts = 0.0, "", list[float]()
    async for event in stream:
        seconds += event.frame.duration
        for word in event.frame.userdata.get("lk.timed_transcripts", ()):
            words += word
            starts.append(word.start_time)
    return seconds, words, starts


@pytest.mark.parametrize(
    "text", ["Call 999 now. Take 400 mg of ibuprofen, e.g. with food!", "Hello"]
)
async def test_speech_comes_with_every_word_of_the_text_and_its_time(text: str) -> None:
    plugin = speech.OfflineTTS()
    stream = plugin.stream()
    for at in range(0, len(text), 5):
        stream.push_text(text[at : at + 5])
    stream.end_input()
    seconds, words, starts = await _spoken(stream)

    assert words == text
    assert starts == sorted(starts)
    assert starts[-1] < seconds
    assert plugin.sample_rate == 22_050


async def test_two_speak_at_once_each_its_own_text() -> None:
    texts = ["One sentence. And another one.", "Something else entirely. It goes on."]
    streams = [speech.OfflineTTS().stream() for _ in texts]
    for stream, text in zip(streams, texts, strict=True):
        stream.push_text(text)
        stream.end_input()
    spoken = await asyncio.gather(*map(_spoken, streams))

    assert [words for _, words, _ in spoken] == texts


async def test_an_unknown_voice_is_the_default() -> None:
    assert speech.OfflineTTS("marin").voice == speech.OfflineTTS().voice


@pytest.mark.parametrize("name", ["en-us", "en-gb", "en-gb-scotland", "en-gb-x-rp", "f1", "m3"])
async def test_a_voice_that_is_offered_speaks(name: str) -> None:
    assert name in voices.VOICES
    stream = speech.OfflineTTS(name).stream()
    stream.push_text("Rest and drink.")
    stream.end_input()
    seconds, words, _ = await _spoken(stream)
    assert words == "Rest and drink."
    assert seconds > 0.5
