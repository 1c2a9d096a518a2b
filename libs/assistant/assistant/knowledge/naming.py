"""Whether a sentence names a topic: by its title, another name of it, or the title's own words."""

import re
from collections.abc import Iterable

import Stemmer

_WORD = re.compile(r"[^\W_]+(?:['’][^\W_]+)?")
_BRACKETS = re.compile(r"\([^)]*\)")
_NOT_TELLING = """
    a an and as at by for from how in of on or the to with without your my his her its their about
    after before during over under up down off out too not no being getting having long high low
    short severe mild common new old acute chronic type problem problems people person
"""
_EMPTY = frozenset(_NOT_TELLING.split())
_STEMMER = Stemmer.Stemmer("english")


def key(name: str) -> str:
    """A name folded for comparison: lower case, words alone."""
    return " ".join(each.lower() for each in _WORD.findall(name))


def stems(text: str) -> list[str]:
    """The stem of each word, lower case, in order."""
    found = [each.lower().replace("’", "'").removesuffix("'s") for each in _WORD.findall(text)]
    return list(_STEMMER.stemWords(found))


class Names:
    """The names of one topic."""

    def __init__(self, title: str, also_called: Iterable[str]) -> None:
        plain = [_BRACKETS.sub(" ", title), *re.findall(r"\(([^)]*)\)", title), *also_called]
        self._phrases = [found for each in plain if (found := stems(each))]
        own = [each for each in _WORD.findall(title) if each.lower() not in _EMPTY]
        self._head_words = frozenset(_STEMMER.stemWords([each.lower() for each in own]))

    def named_in(self, sentence: str) -> bool:
        """True for a whole name, or a word of the title that carries meaning."""
        found = stems(sentence)
        return not self._head_words.isdisjoint(found) or self._has_phrase(found)

    def whole_in(self, text: str) -> bool:
        """True for a whole name only."""
        return self._has_phrase(stems(text))

    def _has_phrase(self, found: list[str]) -> bool:
        padded = f" {' '.join(found)} "
        return any(f" {' '.join(phrase)} " in padded for phrase in self._phrases)
