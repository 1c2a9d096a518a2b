"""Builds what the recogniser needs, from what the product ships; run as a program in a process
of low priority:

    python -m voice_service.offline.building LIBRARY INTO
"""

import fcntl
import json
import os
import shutil
import sys
import tempfile
import time
from collections import ChainMap, Counter
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

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
_GENERAL_LEAST = 2e-7
_PRUNE = 1e-8
_OLD_SECONDS = 7 * 86_400
_SEED = 20_260_901
_EDGES = ("<s>", "</s>")
_UNFINISHED = ".building-"
_NICE = 3
"""Behind those who are in a call, and still done in time on cores that are busy."""


@dataclass(frozen=True)
class Share:
    """A corpus of the mixture: sentences drawn of a rule, and its weight."""

    rule: str
    count: int
    weight: float


TEMPLATES = (
    Share("health", 110_000, 0.43),
    Share("booking", 45_000, 0.18),
    Share("emergency", 20_000, 0.11),
    Share("short", 30_000, 0.10),
    Share("spelled", 4_000, 0.02),
)
_CARDS, _ALARMS, _GENERAL = 0.02, 0.06, 0.11
_EXAMPLES = 0.35
"""Share of the safety rules' examples in the model of alarms; calm ones are among them."""


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
    """Makes the folder `into`, whole or not at all; one that is there stays. Who comes while
    another process builds waits for it, and does not build again."""
    into.parent.mkdir(parents=True, exist_ok=True)
    with _alone(into.parent):
        if into.is_dir():
            return
        clear(into.parent)
        with tempfile.TemporaryDirectory(dir=into.parent, prefix=_UNFINISHED) as name:
            folder = Path(name) / "model"
            folder.mkdir()
            _fill(folder, library)
            for path in folder.iterdir():
                _flush(path)
            folder.rename(into)
        _flush(into.parent)


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """One process at a time; the lock goes with the process that holds it."""
    held = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(held, fcntl.LOCK_EX)
        yield
    finally:
        os.close(held)


def _flush(path: Path) -> None:
    opened = os.open(path, os.O_RDONLY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)


def clear(parent: Path) -> None:
    """Takes away what builders that were killed left, and models that nobody used for long."""
    for folder in parent.iterdir():
        unfinished = folder.name.startswith(_UNFINISHED)
        if unfinished or time.time() - folder.stat().st_mtime > _OLD_SECONDS:
            shutil.rmtree(folder, ignore_errors=True)


def _fill(folder: Path, library: Path) -> None:
    books = _dictionaries()
    read = Corpora(library, ChainMap(*books))
    broad = general.read(model.bundled("en-us.lm.bin"))
    spoken = _pronounced(read, broad, books)
    pronunciations.write(spoken, folder / model.WORDS)
    words = [*_EDGES, *sorted(spoken)]
    numbers = {word: number for number, word in enumerate(words)}
    parts = [(broad.within(numbers, _GENERAL_LEAST), _GENERAL)]
    del broad
    parts.append((_estimated(read.cards, numbers), _CARDS))
    parts.append((_estimated(read.alarms, numbers), _ALARMS))
    parts += [(_estimated(read.drawn[share.rule], numbers), share.weight) for share in TEMPLATES]
    total = sum(weight for _, weight in parts)
    mixed = ngrams.mix([(part, weight / total) for part, weight in parts])
    _write(ngrams.prune(mixed, _PRUNE), words, folder / model.MAIN)
    _write_narrow([(read.drawn["short"], 1.0)], spoken, folder / model.SHORT)
    alarms = [(read.drawn["emergency"], 1 - _EXAMPLES), (read.alarms, _EXAMPLES)]
    _write_narrow(alarms, spoken, folder / model.ALARMS)
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
    wider.difference_update(corpora.respelled())
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


def _write(made: ngrams.Model, words: Sequence[str], path: Path) -> None:
    arpa = path.with_suffix(".arpa")
    ngrams.write_arpa(made, words, arpa)
    config, log = pocketsphinx.Config(), pocketsphinx.LogMath()  # the model only borrows them
    read = pocketsphinx.NGramModel(config, log, str(arpa))
    read.write(str(path), pocketsphinx.NGramModel.str_to_type("bin"))
    arpa.unlink()


def _write_narrow(
    shares: Sequence[tuple[Sequence[Sequence[str]], float]],
    spoken: Mapping[str, list[str]],
    path: Path,
) -> None:
    """A model of some sentences alone, over their own words; the weights sum to one."""
    used = {word for sentences, _ in shares for sentence in sentences for word in sentence}
    words = [*_EDGES, *sorted(used & spoken.keys())]
    numbers = {word: number for number, word in enumerate(words)}
    made = ngrams.mix([(_estimated(sentences, numbers), weight) for sentences, weight in shares])
    _write(ngrams.prune(made, _PRUNE), words, path)


def _write_keyphrases(
    templates: grammar.Grammar, spoken: Mapping[str, list[str]], path: Path
) -> None:
    phrases = [
        " ".join(part.text for part in option if isinstance(part, grammar.Word))
        for option in templates.options("keyphrase")
    ]
    known = [phrase for phrase in phrases if all(word in spoken for word in phrase.split())]
    path.write_text("".join(f"{phrase}\n" for phrase in known))


if __name__ == "__main__":
    os.nice(_NICE)
    build(Path(sys.argv[1]), Path(sys.argv[2]))
