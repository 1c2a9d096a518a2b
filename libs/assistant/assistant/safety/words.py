"""Reads tokens as the words of the lexicon: slips, run-together words and homophones."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple

from assistant.safety import stems
from assistant.safety.tokens import Kind, Token

_STOP, _COMMA, _SIGN = Kind.STOP, Kind.COMMA, Kind.SIGN
_COMMA_WEIGHT = 3


class Word(NamedTuple):
    """A word as it may be read: the token it came from, its sentence, its keys.

    `place` counts words that carry meaning; a filler shares the place of the word before it.
    `sounds` are keys that merely sound alike and count only inside a longer phrase.
    """

    token: int
    sentence: int
    place: int
    readings: tuple[str, ...]
    sounds: tuple[str, ...] = ()
    is_filler: bool = False


class Reader:
    """Turns tokens into significant words, reading slips, run-together words and homophones."""

    def __init__(
        self,
        *,
        key: Callable[[str], str],
        keys: frozenset[str],
        fillers: frozenset[str],
        repair: Callable[[str], Iterable[Sequence[str]]],
        sounds: Mapping[str, tuple[str, ...]],
        common: Iterable[str],
    ) -> None:
        """The readings of `common` words are worked out once; none of a message are kept."""
        self._key = key
        self._keys = keys
        self._fillers = {word: (key(word),) for word in fillers}
        self._repair = repair
        self._sounds = sounds
        self._ready = {word: self._readings(word) for word in common}

    def read(self, tokens: Sequence[Token]) -> tuple[list[Word], list[Token]]:
        """Returns the words in order, commas and signs left out, and the tokens, slips mended."""
        mended = list(tokens)
        words: list[Word] = []
        sentence = place = 0
        for index, (word, _, _, kind) in enumerate(tokens):
            if kind is _STOP:
                sentence += 1
            elif kind is _COMMA:
                place += _COMMA_WEIGHT
            elif word in self._fillers:
                words.append(Word(index, sentence, place, self._fillers[word], (), True))
            elif kind is not _SIGN:
                readings, sounds, meant = self._ready.get(word) or self._readings(word)
                if meant:
                    mended[index] = mended[index]._replace(word=meant)
                for keys in readings:
                    place += 1
                    words.append(Word(index, sentence, place, keys, sounds))
        return words, mended

    def _readings(self, word: str) -> tuple[list[tuple[str, ...]], tuple[str, ...], str]:
        """Returns the keys of each word read, what they sound like, and the word meant."""
        key = self._key(word)
        sounds = self._sounds.get(word, ())
        if key in self._keys or sounds:
            return [(key, *self._exact(word))], sounds, ""
        repaired = list(self._repair(word))
        if not repaired:
            return [(key,)], (), ""
        if len(repaired[0]) > 1:
            kept = [part for part in repaired[0] if part not in self._fillers]
            return [(self._key(part),) for part in kept], (), ""
        keys = dict.fromkeys(self._key(reading[0]) for reading in repaired)
        exact = (one for reading in repaired for one in self._exact(reading[0]))
        return [(*keys, *exact)], (), repaired[0][0]

    def _exact(self, word: str) -> tuple[str, ...]:
        """The key of just this form of the word, where the lexicon asks for it."""
        key = stems.EXACT + word
        return (key,) if key in self._keys else ()
