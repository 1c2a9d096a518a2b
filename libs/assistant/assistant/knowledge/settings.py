"""How documents are cut, indexed and searched: the numbers that were tuned, in one place."""

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Chunking:
    """The largest passage; a change makes every index stale."""

    words: int = 120
    tokens: int = 200
    method: str = "sentences-1"


@dataclass(frozen=True, slots=True)
class Lexical:
    """BM25's numbers; `title_repeats` is how often a title counts beside its passage."""

    k1: float = 0.4
    b: float = 0.4
    title_repeats: int = 2
    method: str = "words-1"


@dataclass(frozen=True, slots=True)
class Indexing:
    """What an index depends on beside its documents and its encoder.

    A passage's vector is `normalise(encode(title, passage) + title_weight * encode(title))`, the
    second title with the document's other names.
    """

    chunking: Chunking = field(default_factory=Chunking)
    lexical: Lexical = field(default_factory=Lexical)
    title_weight: float = 1.0
    graph_above: int = 250_000  # passages beyond which a graph replaces the exact search


@dataclass(frozen=True, slots=True)
class Ranking:
    """How two lists of scores become one; a change needs no new index."""

    dense_weight: float = 0.75
    pool: int = 100  # the best of each list that are fused
