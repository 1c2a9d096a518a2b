"""Brings the forms of a word together, so that one entry stands for all of them."""

from collections.abc import Mapping

import Stemmer

_SHORTEST = 4
EXACT = "="
"""Before a word: this form alone, as "=took" is not "take"."""


class Stems:
    """Snowball stems, with the irregular forms of a table put first."""

    def __init__(self, forms: Mapping[str, str]) -> None:
        self._stemmer = Stemmer.Stemmer("english", 0)
        self._forms = dict(forms)

    def key(self, word: str) -> str:
        """Returns the key under which `word` (lower case, no apostrophe) is looked up."""
        if word.startswith(EXACT):
            return word
        known = self._forms.get(word)
        if known is not None:
            return known
        if len(word) < _SHORTEST:
            return word
        stem: str = self._stemmer.stemWord(word)
        return stem
