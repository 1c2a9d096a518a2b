"""A verdict of danger survives typos, hedging, a relative who plays it down, and mishearing."""

import random
from collections.abc import Callable, Iterator

import pytest

from assistant import safety
from assistant.safety import rulebook
from assistant.safety.verdict import Level

DANGERS = {Level.EMERGENCY, Level.CRISIS}
EXAMPLES = [text for rule in rulebook.load().rules if rule.level in DANGERS for text in rule.fire]
MOST_CHANGED = 0.02

Rewording = Callable[[str, random.Random], str]


def swap(text: str, draw: random.Random) -> str:
    """Swaps two letters inside one longer word."""
    return _in_long_word(text, draw, lambda w, i: w[:i] + w[i + 1] + w[i] + w[i + 2 :])


def drop(text: str, draw: random.Random) -> str:
    return _in_long_word(text, draw, lambda w, i: w[:i] + w[i + 1 :])


def double(text: str, draw: random.Random) -> str:
    return _in_long_word(text, draw, lambda w, i: w[:i] + w[i] + w[i:])


def _in_long_word(text: str, draw: random.Random, change: Callable[[str, int], str]) -> str:
    words = text.split(" ")
    long = [at for at, word in enumerate(words) if len(word) > 5 and word.isalpha()]
    if not long:
        return text
    at = draw.choice(long)
    words[at] = change(words[at], draw.randrange(1, len(words[at]) - 2))
    return " ".join(words)


def prefix(words: str) -> Rewording:
    return lambda text, _: f"{words} {text}"


def suffix(words: str) -> Rewording:
    return lambda text, _: f"{text}{words}"


def dictated(text: str, _: random.Random) -> str:
    """As speech recognition writes it: lower case, no marks."""
    kept = (one if one.isalnum() or one in " '." else " " for one in text.lower())
    return " ".join("".join(kept).split())


REWORDINGS: dict[str, Rewording] = {
    "swapped letters": swap,
    "a letter dropped": drop,
    "a letter doubled": double,
    "capitals": lambda text, _: text.upper(),
    "dictated": dictated,
    "hedged": prefix("I'm not sure, but"),
    "apologetic": prefix("Sorry to bother you, it's probably nothing, but"),
    "played down": suffix(", but my wife says it is nothing to worry about"),
    "hopeful": suffix(". It's probably just stress."),
    "other denials": suffix(", no rash, no cough"),
    "greeting": prefix("Hello there, quick question please."),
    "asked": suffix(", what should I do?"),
    "filled": prefix("um well you know"),
    "thanks": suffix(" thanks"),
}


def changed(names: Iterator[str] | list[str], examples: list[str]) -> list[tuple[str, str]]:
    draw = random.Random(20)
    lost = []
    for name in names:
        for text in examples:
            before = safety.assess(text).level
            reworded = REWORDINGS[name](text, draw)
            if safety.assess(reworded).level.rank > before.rank:
                lost.append((name, reworded))
    return lost


def test_a_sample_of_rewordings_keeps_its_verdict() -> None:
    sample = random.Random(7).sample(EXAMPLES, 60)
    lost = changed(list(REWORDINGS), sample)
    assert len(lost) <= 1.5 * MOST_CHANGED * len(sample) * len(REWORDINGS), lost


@pytest.mark.long
@pytest.mark.parametrize("name", REWORDINGS)
def test_every_rewording_of_every_example_keeps_its_verdict(name: str) -> None:
    lost = changed([name], EXAMPLES)
    assert len(lost) <= 2 * MOST_CHANGED * len(EXAMPLES), lost
