"""A context-free generator of sentences, read from text.

[rule]                       a name; the lines under it are its options
3: can you {see} me          a weight (1 when it is not given), a reference to a rule
(please|) come in, go home   alternatives, one of them empty; a comma parts two options
2: today, 5: tomorrow, now   the first weight is that of the line; an option may have its own
"""

import itertools
import random
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

_TOKEN = re.compile(r"\{(\w+)\}|([(|)])|([^\s(){}|]+)")
_WEIGHT = re.compile(r"^(\d+(?:\.\d+)?):\s*")


@dataclass(frozen=True)
class Word:
    text: str


@dataclass(frozen=True)
class Rule:
    name: str


@dataclass(frozen=True)
class Choice:
    options: tuple[tuple["Part", ...], ...]


Part = Word | Rule | Choice


class Malformed(ValueError):
    """A grammar's text cannot be read."""


class Grammar:
    """The rules of one text; `sentences` draws from them."""

    def __init__(self, rules: Mapping[str, tuple[Sequence[tuple[Part, ...]], Sequence[float]]]):
        self._options = {name: options for name, (options, _) in rules.items()}
        self._cumulated = {
            name: list(itertools.accumulate(weights)) for name, (_, weights) in rules.items()
        }
        for name, options in self._options.items():
            for part in itertools.chain.from_iterable(options):
                self._check(name, part)

    def _check(self, name: str, part: Part) -> None:
        if isinstance(part, Rule) and part.name not in self._options:
            raise Malformed(f"[{name}] refers to [{part.name}], which is not there")
        if isinstance(part, Choice):
            for inner in itertools.chain.from_iterable(part.options):
                self._check(name, inner)

    def words(self) -> set[str]:
        """Every word that the rules can say."""
        found: set[str] = set()
        for options in self._options.values():
            _collect(options, found)
        return found

    def options(self, rule: str) -> Sequence[tuple[Part, ...]]:
        return self._options[rule]

    def sentences(self, rule: str, count: int, seed: int) -> Iterator[list[str]]:
        """`count` sentences of `rule`, the same for the same seed."""
        drawn = random.Random(seed)  # noqa: S311 - it draws sample sentences
        for _ in range(count):
            said: list[str] = []
            self._expand(rule, drawn.random, said)
            if said:
                yield said

    def _expand(self, rule: str, draw: Callable[[], float], into: list[str]) -> None:
        cumulated = self._cumulated[rule]
        at = _bisect(cumulated, draw() * cumulated[-1])
        self._say(self._options[rule][at], draw, into)

    def _say(self, parts: Sequence[Part], draw: Callable[[], float], into: list[str]) -> None:
        for part in parts:
            if isinstance(part, Word):
                into.append(part.text)
            elif isinstance(part, Rule):
                self._expand(part.name, draw, into)
            else:
                self._say(part.options[int(draw() * len(part.options))], draw, into)


def _bisect(cumulated: Sequence[float], value: float) -> int:
    low, high = 0, len(cumulated) - 1
    while low < high:
        middle = (low + high) // 2
        if value < cumulated[middle]:
            high = middle
        else:
            low = middle + 1
    return low


def _collect(options: Sequence[tuple[Part, ...]], found: set[str]) -> None:
    for part in itertools.chain.from_iterable(options):
        if isinstance(part, Word):
            found.add(part.text)
        elif isinstance(part, Choice):
            _collect(part.options, found)


def parse(*texts: str) -> Grammar:
    """A grammar from one or more texts; a rule may go on in a later one. Raises `Malformed`."""
    rules: dict[str, tuple[list[tuple[Part, ...]], list[float]]] = {}
    for text in texts:
        name = ""
        for line in text.splitlines():
            line = line.split("#", 1)[0].strip()
            if not line:
                continue
            if line.startswith("["):
                name = line.strip("[] ")
                rules.setdefault(name, ([], []))
            elif not name:
                raise Malformed(f"an option before any rule: {line!r}")
            else:
                _line(line, rules[name])
    return Grammar(rules)


def _line(line: str, rule: tuple[list[tuple[Part, ...]], list[float]]) -> None:
    """A weight at the beginning is that of all options, one before an option is its own."""
    weight, line = _weighted(line, 1.0)
    for option in line.split(","):
        own, option = _weighted(option.strip(), weight)
        parts = _sequence(iter(_TOKEN.finditer(option)), depth=0)
        rule[0].append(parts[0] if len(parts) == 1 else (Choice(tuple(parts)),))
        rule[1].append(own)


def _weighted(text: str, otherwise: float) -> tuple[float, str]:
    found = _WEIGHT.match(text)
    return (float(found.group(1)), text[found.end() :]) if found else (otherwise, text)


def _sequence(tokens: Iterator[re.Match[str]], *, depth: int) -> list[tuple[Part, ...]]:
    """The alternatives up to the bracket that closes this one."""
    alternatives: list[list[Part]] = [[]]
    for token in tokens:
        rule, mark, word = token.groups()
        if rule:
            alternatives[-1].append(Rule(rule))
        elif word:
            alternatives[-1].append(Word(word))
        elif mark == "(":
            alternatives[-1].append(Choice(tuple(_sequence(tokens, depth=depth + 1))))
        elif mark == "|":
            alternatives.append([])
        elif depth:
            return [tuple(parts) for parts in alternatives]
        else:
            raise Malformed("a bracket closes that was not opened")
    if depth:
        raise Malformed("a bracket is left open")
    return [tuple(parts) for parts in alternatives]
