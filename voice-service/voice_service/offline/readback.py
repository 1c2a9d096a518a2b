"""Which words of a hearing must be said back to the caller before anything is done with them."""

import re
import tomllib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache

from voice_service.offline import corpora

_SPELLED = re.compile(r"^[b-hj-z]$")


@dataclass(frozen=True)
class _Words:
    matter: frozenset[str]
    between: frozenset[str]
    weak: frozenset[str]
    loose: frozenset[str]
    leading: frozenset[str]


def must_read_back(text: str) -> tuple[str, ...]:
    """The dates, times, numbers, spelled letters, doses and drug names in `text`, in its words
    and order, neighbours joined: `("next Tuesday at half past three", "ibuprofen")`. A number
    or a part of the day alone matters as a time or in a short reply; "three days" does not."""
    words = text.split()
    kept = [_matters(word.lower().strip(".,?!")) for word in words]
    return tuple(
        " ".join(words[start:end])
        for start, end in _spans(words, kept)
        if end - start > 1 or _alone(words, start)
    )


def _alone(words: Sequence[str], at: int) -> bool:
    """Whether a word that matters does so without a neighbour that does."""
    word, before = words[at].lower(), words[at - 1].lower() if at else ""
    if word in _words().weak:
        return False
    return word not in _words().loose or before in _words().leading or len(words) < 3


def _matters(word: str) -> bool:
    return word in _words().matter or word.isdigit() or bool(_SPELLED.match(word))


def _spans(words: Sequence[str], kept: Sequence[bool]) -> Iterator[tuple[int, int]]:
    at = 0
    while at < len(words):
        if not kept[at]:
            at += 1
            continue
        start, end = at, at + 1
        while end < len(words):
            ahead = end
            while (
                ahead < len(words) and not kept[ahead] and words[ahead].lower() in _words().between
            ):
                ahead += 1
            if ahead == len(words) or not kept[ahead]:
                break
            end = ahead + 1
        while start and words[start - 1].lower() in {"next", "this"}:
            start -= 1
        yield start, end
        at = end


@cache
def _words() -> _Words:
    lists = tomllib.loads(corpora.data("readback.toml"))
    matter = {word for name in ("numbers", "days", "units") for word in lists[name].split()}
    return _Words(
        frozenset(matter.union(corpora.drugs())),
        frozenset(lists["between"].split()),
        frozenset(lists["weak"].split()),
        frozenset(f"{lists['numbers']} {lists['loose']}".split()),
        frozenset(lists["leading"].split()),
    )
