"""Repairs a slip of spelling when the library knows the word that was meant, else leaves it."""

import re
from collections.abc import Iterable

from rapidfuzz import process
from rapidfuzz.distance import OSA

_SOUNDS = (("ph", "f"), ("ck", "k"), ("ch", "k"), ("gh", "g"), ("x", "ks"), ("q", "k"))
_LETTERS = str.maketrans({"c": "k", "z": "s", "y": "", "w": ""})
_SHORTEST = 5
_WORD = re.compile(r"[a-z]{5,}")


def consonants(word: str) -> str:
    """The consonants of `word` as they sound: "throte" and "throat" both give "thrt"."""
    sound = word
    for written, spoken in _SOUNDS:
        sound = sound.replace(written, spoken)
    sound = sound.translate(_LETTERS)
    sound = re.sub(r"(?<=[^tsaeiou])h|[aeiou]", "", sound[:1] + sound[1:])
    return re.sub(r"(.)\1+", r"\1", sound)


class Repairer:
    """Mends words of five letters or more that neither the library nor English knows.

    `meant` are the words that may be put in their place; `known` words are never touched.
    """

    def __init__(self, meant: Iterable[str], known: frozenset[str]) -> None:
        self._meant = sorted(word for word in set(meant) if len(word) >= _SHORTEST - 1)
        self._sounds = {word: consonants(word) for word in self._meant}
        self._known = known | frozenset(self._meant)

    def text(self, normalised: str) -> str:
        """`normalised` with its slips mended."""
        return _WORD.sub(lambda found: self.word(found.group()), normalised)

    def word(self, word: str) -> str:
        """What was meant by `word`, or `word` itself."""
        if len(word) < _SHORTEST or word in self._known:
            return word
        near = process.extract(
            word, self._meant, scorer=OSA.distance, score_cutoff=2, limit=12, processor=None
        )
        sound = consonants(word)
        fitting = [
            (distance, self._sounds[found] != sound, found)
            for found, distance, _ in near
            if self._fits(word, sound, found, int(distance))
        ]
        return min(fitting)[2] if fitting else word

    def _fits(self, word: str, sound: str, found: str, distance: int) -> bool:
        alike = self._sounds[found] == sound
        return alike if distance > 1 or len(word) < 7 else True
