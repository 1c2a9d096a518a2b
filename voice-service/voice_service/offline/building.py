"""Builds what the recogniser needs, from what the product ships; run as a program in a process
of low priority:

    python -m voice_service.offline.building LIBRARY INTO
"""

import json
import os
import shutil
import sys
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pocketsphinx

from voice_service.offline import (
    corpora,
    espeak,
    general,
    grammar,
    model,
    ngrams,
    pronunciations,
)

_GENERAL_WORDS = 8_000
_GENERAL_LEAST = 2e-6
_PRUNE = 1e-8
_SEED = 20_260_901
_EDGES = ("<s>", "</s>")


@dataclass(frozen=True)
class Share:
    """A corpus of the mixture: sentences drawn of a rule, and its weight."""

    rule: str
    count: int
    weight: float


TEMPLATES = (
    Share("health", 100_000, 0.36),
    Share("booking", 40_000, 0.18),
    Share("emergency", 20_000, 0.10),
    Share("short", 20_000, 0.12),
    Share("spelled", 4_000, 0.03),
)
_CARDS, _ALARMS, _GENERAL = 0.04, 0.03, 0.14


class Corpora:
    """All sentences, as words."""

    def __init__(self, library: Path) -> None:
        self.templates: grammar.Grammar = corpora.templates(library)
        self.drawn = {
            share.rule: list(self.templates.sentences(share.rule, share.count, _SEED))
            for share in TEMPLATES
        }
        self.cards = list(corpora.cards(library))
        self.alarms = list(corpora.alarms())


def build(library: Path, into: Path) -> None:
    """Makes the folder `into`, whole or not at all; one that is there stays."""
    into.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=into.parent, prefix=".building-") as name:
        folder = Path(name) / "model"
        folder.mkdir()
        _fill(folder, library)
        if not into.exists():
            shutil.move(folder, into)


def _fill(folder: Path, library: Path) -> None:
    read = Corpora(library)
    broad = general.read(folder, _GENERAL_LEAST)
    spoken = _pronounced(read, broad)
    pronunciations.write(spoken, folder / model.WORDS)
    words = [*_EDGES, *sorted(spoken)]
    numbers = {word: number for number, word in enumerate(words)}
    parts = [(_estimated(read.drawn[share.rule], numbers), share.weight) for share in TEMPLATES]
    parts.append((_estimated(read.cards, numbers), _CARDS))
    parts.append((_estimated(read.alarms, numbers), _ALARMS))
    parts.append((_broad(broad, numbers), _GENERAL))
    total = sum(weight for _, weight in parts)
    mixed = ngrams.mix([(part, weight / total) for part, weight in parts])
    _write(ngrams.prune(mixed, _PRUNE), words, folder / model.MAIN)
    _write_short(read.drawn["short"], spoken, folder / model.SHORT)
    _write_keyphrases(read.templates, spoken, folder / model.KEYPHRASES)
    shutil.copy(model.bundled("en-us") / "feat.params", folder / model.FEATURES)
    features = (folder / model.FEATURES).read_text().replace("-cmn batch", "-cmn live")
    (folder / model.FEATURES).write_text(features)
    about = {"words": len(spoken), "bigrams": len(mixed.keys2), "trigrams": len(mixed.keys3)}
    (folder / model.ABOUT).write_text(json.dumps(about))


def _pronounced(read: Corpora, broad: general.General) -> dict[str, list[str]]:
    bundled = pronunciations.grouped(pronunciations.read(model.bundled("cmudict-en-us.dict")))
    own = pronunciations.grouped(
        (word, phones)
        for word, _, phones in (line.partition(" ") for line in _lines("pronunciations.txt"))
    )
    said = read.templates.words()
    found = pronunciations.collect(said, (own, bundled), _guess)
    wider = {word for sentence in (*read.cards, *read.alarms) for word in sentence}
    wider.update(broad.likeliest(_GENERAL_WORDS))
    found.update(pronunciations.collect(sorted(wider - said), (own, bundled), None))
    return found


def _lines(name: str) -> list[str]:
    lines = corpora.data(name).splitlines()
    return [line for line in lines if line.strip() and not line.startswith("#")]


def _guess(word: str) -> str:
    return pronunciations.from_ipa(espeak.voice().phonemes(word))


def _estimated(sentences: Iterable[Sequence[str]], numbers: Mapping[str, int]) -> ngrams.Model:
    known = (
        [numbers[word] for word in sentence]
        for sentence in sentences
        if sentence and all(word in numbers for word in sentence)
    )
    return ngrams.estimate(list(known), len(numbers))


def _broad(broad: general.General, numbers: Mapping[str, int]) -> ngrams.Model:
    size = len(numbers)
    unigrams = np.full(size, 1e-9)
    for word, number in numbers.items():
        if word in broad.words:
            unigrams[number] = 10 ** broad.words[word][0]
    unigrams[ngrams.START] = 0
    unigrams /= unigrams.sum()
    pairs = sorted(
        (numbers[first] * size + numbers[second], 10**chance)
        for first, second, chance in broad.pairs
        if first in numbers and second in numbers
    )
    keys = np.array([key for key, _ in pairs], dtype=np.int64)
    return ngrams.from_bigrams(size, unigrams, keys, np.array([chance for _, chance in pairs]))


def _write(made: ngrams.Model, words: Sequence[str], path: Path) -> None:
    arpa = path.with_suffix(".arpa")
    ngrams.write_arpa(made, words, arpa)
    config, log = pocketsphinx.Config(), pocketsphinx.LogMath()  # the model only borrows them
    read = pocketsphinx.NGramModel(config, log, str(arpa))
    read.write(str(path), pocketsphinx.NGramModel.str_to_type("bin"))
    arpa.unlink()


def _write_short(
    sentences: Sequence[Sequence[str]], spoken: Mapping[str, list[str]], path: Path
) -> None:
    used = {word for sentence in sentences for word in sentence} & spoken.keys()
    words = [*_EDGES, *sorted(used)]
    numbers = {word: number for number, word in enumerate(words)}
    made = ngrams.mix([(_estimated(sentences, numbers), 1.0)])
    _write(ngrams.prune(made, _PRUNE), words, path)


def _write_keyphrases(
    templates: grammar.Grammar, spoken: Mapping[str, list[str]], path: Path
) -> None:
    phrases = [
        " ".join(part.text for part in option if isinstance(part, grammar.Word))
        for option in templates.options("keyphrase")
    ]
    known = [phrase for phrase in phrases if all(word in spoken for word in phrase.split())]
    path.write_text("".join(f"{phrase} /1e-10/\n" for phrase in known))


if __name__ == "__main__":
    os.nice(10)
    build(Path(sys.argv[1]), Path(sys.argv[2]))
