"""How words are spoken, in the phones of the acoustic model."""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path

_VARIANT = re.compile(r"\(\d+\)$")
_STRESS = re.compile("[ˈˌː‍͡‿ˑ\u0303\u0329\u032f]")

# The longest spelling wins; length marks are kept where they tell two phones apart.
_PHONES: Mapping[str, str] = {
    "aɪə": "AY AH", "aɪɚ": "AY ER", "aʊ": "AW", "aɪ": "AY", "eɪ": "EY", "ɔɪ": "OY", "oʊ": "OW",
    "tʃ": "CH", "dʒ": "JH", "iə": "IY AH", "ɪɹ": "IH R", "ɛɹ": "EH R", "ɑɹ": "AA R",
    "oɹ": "AO R", "ɔɹ": "AO R", "ʊɹ": "UH R", "əl": "AH L", "i": "IY", "ɪ": "IH", "ᵻ": "IH",
    "ɛ": "EH", "e": "EH", "æ": "AE", "a": "AA", "ɑ": "AA", "ɒ": "AA", "ɔ": "AO", "o": "AO",
    "ʊ": "UH", "u": "UW", "ʌ": "AH", "ə": "AH", "ɐ": "AH", "ɚ": "ER", "ɜ": "ER", "ɝ": "ER",
    "ʃ": "SH", "ʒ": "ZH", "θ": "TH", "ð": "DH", "ŋ": "NG", "ɹ": "R", "r": "R", "j": "Y",
    "w": "W", "h": "HH", "p": "P", "b": "B", "t": "T", "d": "D", "k": "K", "ɡ": "G", "g": "G",
    "f": "F", "v": "V", "s": "S", "z": "Z", "m": "M", "n": "N", "l": "L", "ɫ": "L", "ɾ": "T",
    "ʔ": "T", "x": "K", "ɬ": "L",
}  # fmt: skip
_LONGEST = max(map(len, _PHONES))


def read(path: Path) -> Iterator[tuple[str, str]]:
    """The words of a dictionary file with their phones; a word comes once a variant."""
    for line in path.read_text(encoding="utf-8").splitlines():
        word, _, phones = line.partition(" ")
        if phones and not word.startswith("#"):
            yield _VARIANT.sub("", word), phones.strip()


def from_ipa(ipa: str) -> str:
    """The phones of a word in the International Phonetic Alphabet; what has none is left out."""
    rest = _STRESS.sub("", ipa)
    phones = []
    while rest:
        for length in range(min(_LONGEST, len(rest)), 0, -1):
            if found := _PHONES.get(rest[:length]):
                phones.append(found)
                break
        else:
            length = 1
        rest = rest[length:]
    return " ".join(phones)


def collect(
    wanted: Iterable[str],
    dictionaries: Iterable[Mapping[str, list[str]]],
    guess: Callable[[str], str] | None,
) -> dict[str, list[str]]:
    """Every wanted word with its ways of speaking, from the first dictionary that has it, or
    guessed; a word that nobody can speak is left out."""
    known = list(dictionaries)
    found: dict[str, list[str]] = {}
    for word in wanted:
        spoken = next((book[word] for book in known if word in book), None)
        if spoken is None and guess is not None and (phones := guess(word)):
            spoken = [phones]
        if spoken:
            found[word] = spoken
    return found


def grouped(pairs: Iterable[tuple[str, str]]) -> dict[str, list[str]]:
    words: dict[str, list[str]] = {}
    for word, phones in pairs:
        words.setdefault(word, []).append(phones)
    return words


def write(words: Mapping[str, list[str]], path: Path) -> None:
    """A dictionary as the decoder reads it."""
    with path.open("w", encoding="utf-8") as out:
        for word in sorted(words):
            for index, phones in enumerate(dict.fromkeys(words[word])):
                out.write(f"{word}{f'({index + 1})' if index else ''} {phones}\n")
