"""Builds what the recogniser needs, from what the product ships; run as a program in a process
of low priority:

    python -m voice_service.offline.building LIBRARY INTO
"""

import contextlib
import json
import os
import shutil
import sys
import tempfile
import time
from collections import ChainMap, Counter
from collections.abc import Container, Iterable, Mapping, Sequence
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

_GENERAL_WORDS = 7_000
_CARD_WORDS_TWICE = 2
_GENERAL_LEAST = 2e-6
_PRUNE = 1e-8
_OLD_SECONDS = 7 * 86_400
_SEED = 20_260_901
_EDGES = ("<s>", "</s>")


@dataclass(frozen=True)
class Share:
    """A corpus of the mixture: sentences drawn of a rule, and its weight."""

    rule: str
    count: int
    weight: float


TEMPLATES = (
    Share("health", 110_000, 0.38),
    Share("booking", 45_000, 0.18),
    Share("emergency", 20_000, 0.12),
    Share("short", 30_000, 0.10),
    Share("spelled", 4_000, 0.02),
)
_CARDS, _ALARMS, _GENERAL = 0.03, 0.07, 0.10


class Corpora:
    """All sentences, as words."""

    def __init__(self, library: Path, known: Container[str]) -> None:
        self.templates = corpora.templates(library, known)
        self.drawn = {
            share.rule: list(self.templates.sentences(share.rule, share.count, _SEED))
            for share in TEMPLATES
        }
        self.cards = list(corpora.cards(library))
        self.alarms = list(corpora.alarms())


def build(library: Path, into: Path) -> None:
    """Makes the folder `into`, whole or not at all; one that is there stays."""
    into.parent.mkdir(parents=True, exist_ok=True)
    _clear(into.parent)
    with tempfile.TemporaryDirectory(dir=into.parent, prefix=".building-") as name:
        folder = Path(name) / "model"
        folder.mkdir()
        _fill(folder, library)
        with contextlib.suppress(OSError):  # another process was first
            folder.rename(into)


def _clear(parent: Path) -> None:
    """Takes away models, and halves of them, that nobody has touched for long."""
    for folder in parent.iterdir():
        if time.time() - folder.stat().st_mtime > _OLD_SECONDS:
            shutil.rmtree(folder, ignore_errors=True)


def _fill(folder: Path, library: Path) -> None:
    books = _dictionaries()
    read = Corpora(library, ChainMap(*books))
    broad = general.read(folder, _GENERAL_LEAST)
    spoken = _pronounced(read, broad, books)
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


def _dictionaries() -> tuple[dict[str, list[str]], ...]:
    """Our own pronunciations, then the recogniser's."""
    parted = (line.partition(" ") for line in _lines("pronunciations.txt"))
    own = pronunciations.grouped((word, phones) for word, _, phones in parted)
    bundled = pronunciations.read(model.bundled("cmudict-en-us.dict"))
    return own, pronunciations.grouped(bundled)


def _pronounced(
    read: Corpora, broad: general.General, books: Sequence[Mapping[str, list[str]]]
) -> dict[str, list[str]]:
    said = read.templates.words()
    found = pronunciations.collect(said, books, _guess)
    counted = Counter(word for sentence in read.cards for word in sentence)
    wider = {word for word, count in counted.items() if count >= _CARD_WORDS_TWICE}
    wider.update(word for sentence in read.alarms for word in sentence)
    wider.update(broad.likeliest(_GENERAL_WORDS))
    found.update(pronunciations.collect(sorted(wider - said), books, None))
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
