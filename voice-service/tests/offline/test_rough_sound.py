"""Whatever the sound is: no crash, no alarm out of nothing, and an end that comes."""

import time
from pathlib import Path

import pytest
import recognising
import rough_sound

from voice_service.offline import decoders, hearing

_ALARMING = ("i have chest pain", "she can't breathe")
_CALM = ("what helps with a headache", "yes please")


@pytest.fixture(scope="module")
def shared(model_folder: Path) -> decoders.Decoders:
    """Loaded once."""
    return decoders.Decoders(model_folder)


@pytest.fixture
def ears(shared: decoders.Decoders) -> decoders.Decoders:
    """For a new caller."""
    shared.reset()
    return shared


def _hear(ears: decoders.Decoders, pcm: bytes) -> decoders.Decoded:
    ears.start()
    for at in range(0, len(pcm), 640):
        ears.feed(pcm[at : at + 640])
    return ears.end()


def _sure(heard: decoders.Decoded) -> bool:
    return bool(heard.text) and hearing.confidence(heard.clarity) >= hearing.SURE


@pytest.mark.parametrize("kind", rough_sound.NOTHING_SAID)
def test_where_nothing_is_said_nothing_is_sure_and_no_alarm_is_heard(
    ears: decoders.Decoders, kind: str
) -> None:
    heard = _hear(ears, rough_sound.NOTHING_SAID[kind](1))

    assert not _sure(heard)
    assert not recognising.alarm(heard.text)
    assert heard.keyphrases == ()


@pytest.mark.parametrize("kind", rough_sound.ROUGH)
@pytest.mark.parametrize("said", _CALM)
def test_bad_sound_of_calm_words_is_no_alarm(ears: decoders.Decoders, kind: str, said: str) -> None:
    heard = _hear(ears, rough_sound.ROUGH[kind](recognising.speech(said, "rms")))

    assert not recognising.alarm(heard.text)
    assert heard.keyphrases == ()


@pytest.mark.parametrize("said", _ALARMING)
def test_a_constant_voltage_takes_no_alarm_away(ears: decoders.Decoders, said: str) -> None:
    heard = _hear(ears, rough_sound.shifted(recognising.speech(said, "rms")))

    assert recognising.alarm(heard.text)


def test_bad_sound_spoils_nothing_for_the_next_caller(ears: decoders.Decoders) -> None:
    for spoil in rough_sound.ROUGH.values():
        _hear(ears, spoil(recognising.speech("what helps with a headache", "awb")))
    ears.reset()

    assert _hear(ears, recognising.speech("i have chest pain", "slt")).text == "i have chest pain"


def test_half_a_minute_of_speech_ends_in_time(ears: decoders.Decoders) -> None:
    one = recognising.speech("my back hurts after sitting all day", "rms")
    pcm = (one * (1 + 30 * 32_000 // len(one)))[: 30 * 32_000]
    ears.start()
    for at in range(0, len(pcm), 640):
        ears.feed(pcm[at : at + 640])
    began = time.process_time()
    heard = ears.end()

    assert time.process_time() - began < 10
    assert heard.text.count("back hurts after sitting") >= 8


def test_what_comes_after_a_minute_is_not_heard(ears: decoders.Decoders) -> None:
    ears.start()
    for _ in range(70):
        ears.feed(rough_sound.silence(1))
    ears.feed(recognising.speech("i have chest pain", "slt"))

    assert ears.end().text == ""
