"""What is said for what is written: signs, units and abbreviations in full.

Each written word keeps its place in what is said, so that it can be told which were heard.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass

_WORD = re.compile(r"\S+\s*")
_UNITS: Mapping[str, str] = {
    "mg": "milligrams", "mcg": "micrograms", "µg": "micrograms", "g": "grams", "kg": "kilograms",
    "ml": "millilitres", "l": "litres", "cm": "centimetres", "mm": "millimetres",
    "km": "kilometres", "°c": "degrees", "°f": "degrees Fahrenheit", "%": "percent",
    "mmhg": "millimetres of mercury", "bpm": "beats a minute", "hrs": "hours", "hr": "hour",
    "mins": "minutes", "min": "minutes", "kcal": "kilocalories", "iu": "international units",
}  # fmt: skip
_SAID: Mapping[str, str] = {
    "e.g.": "for example", "i.e.": "that is", "etc.": "and so on", "vs": "versus",
    "vs.": "versus", "dr": "Doctor", "dr.": "Doctor", "approx.": "about", "&": "and",
    "+": "plus", "=": "equals", "nhs": "N H S", "nice": "nice", "gp": "G P", "a&e": "A and E",
    "uti": "U T I", "mri": "M R I", "ct": "C T", "ecg": "E C G", "hiv": "H I V", "ibs": "I B S",
    "copd": "C O P D", "bmi": "B M I", "id": "I D", "tb": "T B", "dvt": "D V T",
    "covid-19": "covid nineteen", "/": "or", "–": ",", "—": ",",
}  # fmt: skip
_DRUGS: Mapping[str, str] = {
    "paracetamol": "parra-seetamol", "ibuprofen": "eye-byoo-proefen",
    "acetaminophen": "a-seeta-minna-fen", "omeprazole": "oh-mepra-zole",
    "amoxicillin": "a-moxy-sillin", "levothyroxine": "leevo-thigh-roxeen",
    "sertraline": "sertra-leen", "metformin": "met-formin", "naproxen": "na-proxen",
}  # fmt: skip
_EMERGENCY = re.compile(r"^(999|911|112|111|988|116|000)$")
_PHONE = re.compile(r"^\+?\d[\d-]{4,}$")
_AMOUNT = re.compile(r"^(\d+(?:[.,]\d+)?)(mg|mcg|µg|g|kg|ml|l|cm|mm|km|°c|°f|%)$", re.IGNORECASE)
_RANGE = re.compile(r"^(\d+(?:\.\d+)?)[-–](\d+(?:\.\d+)?)(\D*)$")
_EDGE = re.compile(r"^([\"'“‘(\[*_]*)(.*?)([\"'”’)\]*_]*[.,;:!?]*[\"'”’)\]]*)$", re.DOTALL)
_UNSPEAKABLE = re.compile(r"[^\w\s.,;:!?'’%/&+°µ-]")


@dataclass(frozen=True)
class Word:
    """A written word with the blanks after it, and where it is in what is said."""

    written: str
    start: int
    end: int


@dataclass(frozen=True)
class Form:
    text: str
    words: tuple[Word, ...]


def form(written: str) -> Form:
    """What is said for one sentence."""
    said, words, length = [], [], 0
    lead = len(written) - len(written.lstrip())
    for index, found in enumerate(_WORD.finditer(written)):
        whole = found.group()
        word = _said(whole.strip())
        text = f"{word} " if word else ""
        words.append(
            Word(written[:lead] + whole if not index else whole, length, length + len(text))
        )
        said.append(text)
        length += len(text)
    return Form("".join(said), tuple(words))


def _said(word: str) -> str:
    if word.lower() in _SAID:
        return _SAID[word.lower()]
    found = _EDGE.match(word)
    assert found is not None
    body, after = found.group(2), found.group(3)
    stops = "".join(sign for sign in after if sign in ".,;:!?")
    return _UNSPEAKABLE.sub(" ", _body(body)).strip() + stops


def _body(word: str) -> str:
    low = word.lower()
    if low in _SAID or low in _UNITS:
        return _SAID.get(low) or _UNITS[low]
    if low in _DRUGS:
        return _DRUGS[low]
    if _EMERGENCY.match(word) or (_PHONE.match(word) and not _RANGE.match(word)):
        return " ".join(sign for sign in word if sign.isdigit())
    if found := _AMOUNT.match(word):
        return f"{found.group(1)} {_UNITS[found.group(2).lower()]}"
    if found := _RANGE.match(word):
        return f"{found.group(1)} to {_body(found.group(2) + found.group(3))}"
    if "/" in word and word.replace("/", "").isalpha():
        return word.replace("/", " or ")
    return word
