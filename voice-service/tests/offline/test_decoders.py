"""The decoders take whatever comes, in any order."""

from pathlib import Path

import pytest
import recognising

from voice_service.offline import decoders


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
    ears.feed(pcm)
    return ears.end()


@pytest.fixture(scope="module")
def chest_pain() -> bytes:
    """An alarming sentence."""
    return recognising.speech("i have chest pain", "slt")


def test_a_sentence_is_heard_with_its_keyphrases(
    ears: decoders.Decoders, chest_pain: bytes
) -> None:
    ears.start()
    ears.feed(chest_pain)
    partial = ears.partial()
    heard = ears.end()

    assert heard.text == "i have chest pain"
    assert "chest pain" in partial
    assert heard.keyphrases == ("chest pain",)


def test_each_keyphrase_is_told_apart(ears: decoders.Decoders) -> None:
    heard = _hear(ears, recognising.speech("she collapsed and stopped breathing", "slt"))

    assert set(heard.keyphrases) == {"collapsed", "stopped breathing"}


def test_sound_outside_an_utterance_is_ignored(ears: decoders.Decoders, chest_pain: bytes) -> None:
    ears.feed(chest_pain)
    heard = ears.end()
    ears.drop()

    assert (heard.text, ears.partial()) == ("", "")


def test_an_utterance_that_begins_twice_is_the_second(
    ears: decoders.Decoders, chest_pain: bytes
) -> None:
    ears.start()
    ears.feed(recognising.speech("no thank you", "slt"))

    assert _hear(ears, chest_pain).text == "i have chest pain"


def test_an_empty_and_a_silent_utterance_have_no_words(ears: decoders.Decoders) -> None:
    assert _hear(ears, b"").text == ""
    assert _hear(ears, bytes(32_000)).text == ""


def test_digital_silence_spoils_nothing_that_follows(
    ears: decoders.Decoders, chest_pain: bytes
) -> None:
    _hear(ears, bytes(64_000))

    assert _hear(ears, chest_pain).text == "i have chest pain"


def test_odd_bytes_wait_for_their_other_half(ears: decoders.Decoders, chest_pain: bytes) -> None:
    ears.start()
    for at in range(0, len(chest_pain), 333):
        ears.feed(chest_pain[at : at + 333])

    assert ears.end().text == "i have chest pain"


def test_a_short_reply_is_read_by_its_own_decoder(ears: decoders.Decoders) -> None:
    heard = _hear(ears, recognising.speech("yes please", "rms"))

    assert (heard.text, heard.short) == ("yes please", True)


@pytest.mark.parametrize(
    ("said", "voice"),
    [
        ("my son wants to die", "rms"),
        ("my child drank antifreeze", "rms"),
        ("her face has dropped on one side", "awb"),
    ],
)
def test_danger_is_read_by_its_own_decoder_where_that_is_certain(
    ears: decoders.Decoders, said: str, voice: str
) -> None:
    assert _hear(ears, recognising.speech(said, voice)).text == said


@pytest.mark.parametrize(
    ("said", "voice"),
    [
        ("he's joking all the time", "rms"),
        ("my lips are chapped", "awb"),
        ("can i kill germs with vinegar", "kal16"),
        ("i am not reading well without glasses", "rms"),
        ("does turmeric prevent a stroke", "slt"),
        ("yes please", "rms"),
    ],
)
def test_calm_words_that_sound_like_danger_are_not_taken_for_it(
    ears: decoders.Decoders, said: str, voice: str
) -> None:
    assert not recognising.alarm(_hear(ears, recognising.speech(said, voice)).text)


def test_a_new_caller_is_heard_as_the_first_was(ears: decoders.Decoders, chest_pain: bytes) -> None:
    first = _hear(ears, chest_pain)
    _hear(ears, recognising.speech("no thank you", "kal16", noise_db=0))
    ears.reset()

    assert _hear(ears, chest_pain) == first
