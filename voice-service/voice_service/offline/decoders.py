"""Three decoders over one stream of speech: everything, short replies, and what is said in danger.

A mixture of models makes each word that only one of them expects dearer by that one's share. Where
it matters most, a decoder with a model of its own does not pay that.

Lives in a process of its own: a decoder holds the interpreter's lock while it works.
"""

import math
import random
from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pocketsphinx

from voice_service.offline import hearing, model

_BATCH = hearing.RATE_HZ * 2 // 50  # 20 ms
_MEAN = "50,-4,8,8,-8,-5,1,-1,0,4,2,5,5"
_LONGEST = hearing.RATE_HZ * 2 * 60
"""What comes after a minute of one utterance is not heard, lest its end takes for ever."""
_FILLERS = ("<", "[", "++")
_LEAD = 200
"""By how much a second, in the decoder's own measure, the score of what is said in danger must be
above that of anything else before its words are taken. A small model's score is the higher by
nature, and calm words may sound alike."""
_CERTAIN = -0.4
"""What the mean logarithm of those words' chances must be then."""
_CLOSE = 0
"""The lead from which a phrase in them may be asked about."""
_LITTLE = frozenset(("a", "an", "the", "i", "he", "she", "it", "we", "they", "my", "his", "her",
    "our", "their", "is", "am", "are", "was", "has", "have", "had", "and", "to", "of"))  # fmt: skip
"""Words for which those of the main decoder are kept: the alarms' model knows them no better."""
_LOG = pocketsphinx.LogMath()


@dataclass(frozen=True)
class Decoded:
    """What was heard, and how clearly; alarming phrases beside it."""

    text: str
    clarity: hearing.Clarity
    short: bool
    keyphrases: tuple[str, ...]


class Decoders:
    """One caller's ears. `start`, `feed` and `end` an utterance; `reset` between callers."""

    def __init__(self, folder: Path) -> None:
        self._main = _decoder(folder, lm=str(folder / model.MAIN))
        self._short = _decoder(folder, lm=str(folder / model.SHORT))
        self._alarms = _decoder(folder, lm=str(folder / model.ALARMS))
        self._phrases = (folder / model.KEYPHRASES).read_text(encoding="utf-8").splitlines()
        self._all = (self._main, self._short, self._alarms)
        self._noise = random.Random(1)  # noqa: S311 - it is noise
        self._listening = False
        self._rest = b""
        self._heard = 0
        self.reset()

    def reset(self) -> None:
        """Forgets the last caller's voice and room."""
        self.drop()
        for decoder in self._all:
            decoder.reinit_feat()
            decoder.set_cmn(_MEAN)

    def start(self) -> None:
        """Begins an utterance; one that was going on is dropped."""
        self.drop()
        for decoder in self._all:
            decoder.start_utt()
        self._listening, self._rest, self._heard = True, b"", 0

    def drop(self) -> None:
        """Ends an utterance without words."""
        if self._listening:
            for decoder in self._all:
                decoder.end_utt()
        self._listening = False

    def feed(self, pcm: bytes) -> None:
        """More of the utterance: 16-bit PCM, mono, at `hearing.RATE_HZ`; an odd byte waits for
        the next. Ignored outside an utterance."""
        if not self._listening:
            return
        pcm = self._rest + pcm
        whole = len(pcm) - len(pcm) % 2
        self._rest = pcm[whole:]
        whole = min(whole, max(0, _LONGEST - self._heard))
        for at in range(0, whole, _BATCH):
            self._take(self._audible(pcm[at : min(at + _BATCH, whole)]))

    def _take(self, pcm: bytes) -> None:
        for decoder in self._all:
            decoder.process_raw(pcm, False, False)
        self._heard += len(pcm)

    def _audible(self, pcm: bytes) -> bytes:
        """Digital silence gets a noise of one step: without any, the mean is not a number."""
        if any(pcm):
            return pcm
        noise = array("h", (self._noise.choice((-1, 0, 1)) for _ in range(len(pcm) // 2)))
        return noise.tobytes()

    def partial(self) -> str:
        """The words so far."""
        return " ".join(_words(self._main)) if self._listening else ""

    def end(self) -> Decoded:
        """Ends the utterance and says what was heard; nothing outside one."""
        if not self._listening or not self._heard:
            self.drop()
            return Decoded("", hearing.Clarity(), False, ())
        first = _words(self._main)
        for decoder in self._all:
            decoder.end_utt()
        self._listening = False
        main, short = _words(self._main), _words(self._short)
        shorter = bool(short) and _score(self._short) >= _score(self._main)
        ear = self._short if shorter else self._main
        chosen, other = (short, main) if shorter else (main, first)
        alarms, lead = self._danger(ear)
        found = self._phrases_of(alarms) if lead >= _CLOSE else ()
        if lead >= _LEAD and _chance(self._alarms) >= _CERTAIN and _differ(alarms, chosen):
            ear, chosen, other, shorter = self._alarms, alarms, chosen, False
        return Decoded(" ".join(chosen), self._clarity(ear, chosen, other), shorter, found)

    def _danger(self, ear: pocketsphinx.Decoder) -> tuple[list[str], float]:
        """What it was if it was said in danger, and by how much a second of sound that fits
        better than what `ear` heard; nothing where one of them heard none."""
        words = _words(self._alarms)
        if not words or not _words(ear):
            return [], -math.inf
        seconds = self._heard / 2 / hearing.RATE_HZ
        return words, (_score(self._alarms) - _score(ear)) / seconds

    def _phrases_of(self, words: Sequence[str]) -> tuple[str, ...]:
        said = f" {' '.join(words)} "
        return tuple(phrase for phrase in self._phrases if f" {phrase} " in said)

    def _clarity(
        self, decoder: pocketsphinx.Decoder, chosen: Sequence[str], other: Sequence[str]
    ) -> hearing.Clarity:
        count = max(1, len(chosen))
        chances = (_LOG.log(part.lscore) for part in _spoken(decoder) if part.lscore > 0)
        return hearing.Clarity(
            _chance(decoder),
            min(chances, default=0.0),
            _distance(other, chosen) / count,
            self._heard / 2 / hearing.RATE_HZ / count,
        )


def _spoken(decoder: pocketsphinx.Decoder) -> list[pocketsphinx.Segment]:
    """The words without silence and noises."""
    return [part for part in decoder.seg() or () if not part.word.startswith(_FILLERS)]


def _chance(decoder: pocketsphinx.Decoder) -> float:
    """The mean logarithm of the words' chances; 0 without words."""
    chances = [math.log(max(part.prob, 1e-12)) for part in _spoken(decoder)]
    return sum(chances) / max(1, len(chances))


def _differ(one: Sequence[str], two: Sequence[str]) -> bool:
    """Whether more than little words do."""
    return not set(one) ^ set(two) <= _LITTLE


def _decoder(folder: Path, lm: str) -> pocketsphinx.Decoder:
    return pocketsphinx.Decoder(
        hmm=str(model.bundled("en-us")), lm=lm, dict=str(folder / model.WORDS),
        featparams=str(folder / model.FEATURES), wip=0.1, beam=1e-60, pbeam=1e-60,
        wbeam=1e-40, loglevel="FATAL",
    )  # fmt: skip


def _words(decoder: pocketsphinx.Decoder) -> list[str]:
    found = decoder.hyp()
    return found.hypstr.split() if found is not None else []


def _score(decoder: pocketsphinx.Decoder) -> float:
    found = decoder.hyp()
    return _LOG.log(found.score) if found is not None and found.score > 0 else -math.inf


def _distance(one: Sequence[str], two: Sequence[str]) -> int:
    """Words to put in, leave out or change."""
    row = list(range(len(two) + 1))
    for i, left in enumerate(one, 1):
        before, row[0] = row[0], i
        for j, right in enumerate(two, 1):
            before, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, before + (left != right))
    return row[-1]
