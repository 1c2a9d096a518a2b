"""How well sentences that the model was not built from are read, spoken by four voices."""

from collections.abc import Sequence
from pathlib import Path

import pytest
import recognising

from voice_service.offline import decoders, hearing

_SENTENCES = recognising.read(Path(__file__).with_name("held_out.tsv"))
_ALARMING = recognising.read(Path(__file__).with_name("alarming.tsv"))


def _read(folder: Path, sentences: Sequence[tuple[recognising.Sentence, str]]) -> recognising.Score:
    ears = decoders.Decoders(folder)
    reads = []
    for sentence, voice in sentences:
        ears.reset()
        ears.start()
        ears.feed(recognising.speech(sentence.text, voice))
        reads.append(recognising.Read(sentence, hearing.written(ears.end().text)))
    return recognising.score(reads)


def test_a_sample_is_mostly_read_whole(model_folder: Path) -> None:
    sample = [
        (sentence, recognising.VOICES[index % 4]) for index, sentence in enumerate(_SENTENCES[::5])
    ]
    score = _read(model_folder, sample)

    assert score.count == 24
    assert score.whole >= 0.65
    assert score.content >= 0.75
    assert score.false == 0


@pytest.mark.long
def test_every_sentence_in_every_voice(model_folder: Path) -> None:
    score = _read(
        model_folder,
        [(sentence, voice) for voice in recognising.VOICES for sentence in _SENTENCES],
    )

    assert score.whole >= 0.72
    assert score.content >= 0.80
    assert score.alarms >= 0.97
    assert score.false == 0


@pytest.mark.long
def test_danger_and_what_sounds_like_it_are_told_apart_in_every_voice(model_folder: Path) -> None:
    score = _read(
        model_folder,
        [(sentence, voice) for voice in recognising.VOICES for sentence in _ALARMING],
    )

    assert score.alarming == 160
    assert score.alarms >= 0.92
    assert score.false <= 10
