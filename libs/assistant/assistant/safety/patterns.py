"""The small language in which the lexicon says how people put things.

A pattern is words ("chest pain"), classes in angle brackets that stand for any of their own
phrases ("<cannot> breathe"), or parts that stand near each other in one sentence: "<pain> ~
<chest>" in either order, "<fell> > <head>" in this order, "~8" with up to eight words between.
After "= " the fillers of a pattern count as well. "=took" is that form of the word and no other.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product

_JOINT = re.compile(r"\s+([~>])(\d*)\s+")
_WORD = re.compile(r"<[a-z0-9_]+>|=[a-z]+|[a-z0-9]+(?:/[a-z])?")
_USUAL_GAP = 4
_MOST_FORMS = 6000

Phrase = tuple[str, ...]


class PatternError(ValueError):
    """A pattern that cannot be read; the message names the concept and the pattern."""


@dataclass(frozen=True, slots=True)
class Near:
    """Concepts that stand close together: `gaps[i]` words at most before `parts[i + 1]`."""

    parts: tuple[str, ...]
    gaps: tuple[int, ...]
    ordered: tuple[bool, ...]


@dataclass(frozen=True, slots=True)
class Compiled:
    """Phrases of keys for each concept, and what is composed of other concepts."""

    phrases: Mapping[str, frozenset[Phrase]]
    near: Mapping[str, tuple[Near, ...]]
    order: tuple[str, ...]
    words: frozenset[str]


class Compiler:
    """Turns the patterns of all concepts into phrases and neighbourhoods."""

    def __init__(
        self,
        concepts: Mapping[str, Sequence[str]],
        *,
        key: Callable[[str], str],
        fillers: frozenset[str],
    ) -> None:
        self._concepts = concepts
        self._key = key
        self._fillers = fillers
        self._flat: dict[str, list[Phrase]] = {}
        self._near: dict[str, list[Near]] = {}
        self._inline: dict[str, list[Phrase]] = {}
        self._open: set[str] = set()

    def compile(self, wanted: Sequence[str]) -> Compiled:
        """Compiles `wanted` concepts and all that they are made of.

        Raises PatternError for an unknown or circular concept or an unreadable pattern.
        """
        order: list[str] = []
        for name in wanted:
            self._visit(name, order)
        phrases = {
            name: frozenset(tuple(map(self._key, phrase)) for phrase in self._flat[name])
            for name in order
        }
        words = {word for name in order for phrase in self._flat[name] for word in phrase}
        near = {name: tuple(self._near[name]) for name in order if self._near[name]}
        return Compiled(phrases, near, tuple(order), frozenset(words))

    def _visit(self, name: str, order: list[str]) -> None:
        if name in self._flat:
            return
        if name in self._open:
            raise PatternError(f"{name}: defined by itself")
        self._open.add(name)
        flat: list[Phrase] = []
        near: list[Near] = []
        for pattern in self._patterns(name):
            pieces = _JOINT.split(pattern.strip())
            if len(pieces) == 1 and not _is_reference(pieces[0]):
                flat.extend(self._expand(name, pattern))
                continue
            near.append(self._neighbourhood(name, pieces, order))
        self._flat[name], self._near[name] = flat, near
        self._open.discard(name)
        order.append(name)

    def _patterns(self, name: str) -> Sequence[str]:
        found = self._concepts.get(name)
        if found is None:
            raise PatternError(f"{name}: no such concept")
        return found

    def _neighbourhood(self, name: str, pieces: Sequence[str], order: list[str]) -> Near:
        parts: list[str] = []
        for piece in pieces[::3]:
            part = piece.strip()
            if _is_reference(part):
                self._visit(part[1:-1], order)
                parts.append(part[1:-1])
                continue
            made = f": {part}"  # not the name of any concept, and shared between them
            if made not in self._flat:
                self._flat[made] = self._expand(name, part)
                self._near[made] = []
                order.append(made)
            parts.append(made)
        gaps = tuple(int(gap) if gap else _USUAL_GAP for gap in pieces[2::3])
        return Near(tuple(parts), gaps, tuple(joint == ">" for joint in pieces[1::3]))

    def _expand(self, name: str, pattern: str) -> list[Phrase]:
        exact = pattern.startswith("= ")
        words = pattern.removeprefix("= ").split()
        for word in words:
            if not _WORD.fullmatch(word):
                raise PatternError(f"{name}: cannot read {word!r} in {pattern!r}")
        choices = [self._choices(name, word) for word in words]
        size = 1
        for choice in choices:
            size *= len(choice)
        if size > _MOST_FORMS:
            raise PatternError(f"{name}: {pattern!r} stands for {size} phrases, too many")
        forms = [tuple(word for part in parts for word in part) for parts in product(*choices)]
        return forms if exact else [self._significant(form) for form in forms]

    def _significant(self, form: Phrase) -> Phrase:
        """Fillers are left out, unless a single word would be left to stand for the phrase."""
        kept = tuple(word for word in form if word not in self._fillers)
        return kept if len(kept) > 1 else form

    def _choices(self, name: str, word: str) -> list[Phrase]:
        if not _is_reference(word):
            return [(word,)]
        inner = word[1:-1]
        if inner in self._inline:
            return self._inline[inner]
        if inner in self._open and inner != name:
            raise PatternError(f"{inner}: defined by itself")
        forms = list(self._inner_forms(name, inner))
        self._inline[inner] = forms
        return forms

    def _inner_forms(self, name: str, inner: str) -> Iterator[Phrase]:
        if inner == name:
            raise PatternError(f"{name}: defined by itself")
        for pattern in self._patterns(inner):
            if _JOINT.search(pattern):
                raise PatternError(f"{name}: <{inner}> is not made of phrases alone")
            yield from self._expand(inner, pattern)


def _is_reference(part: str) -> bool:
    return part.startswith("<") and part.endswith(">") and " " not in part.strip()
