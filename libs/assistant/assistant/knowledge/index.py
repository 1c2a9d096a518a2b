"""Opening an index, and making it first when it is stale: nothing is ever mixed."""

import logging
from collections.abc import Sequence
from functools import cache
from pathlib import Path

from assistant.knowledge import corpus, encoder, manifest, search
from assistant.knowledge.encoder import Encoder
from assistant.knowledge.manifest import IndexBroken, IndexMismatch, Manifest, describe
from assistant.knowledge.settings import Indexing

__all__ = [
    "IndexBroken", "IndexMismatch", "Manifest", "build", "describe", "open_index", "open_or_build",
]  # fmt: skip

_ATTEMPTS = 5
_DEPENDS_ON = (
    "format", "encoder", "weights", "dimension", "max_tokens", "indexing", "documents_digest",
)  # fmt: skip

log = logging.getLogger(__name__)


def open_index(
    folder: Path,
    encoder: Encoder,
    *,
    expected: Manifest | None = None,
) -> search.Library:
    """The index in `folder`, for searching with `encoder`.

    Raises:
        IndexMismatch: it was made with another encoder, or is not the `expected` one.
        IndexBroken: its files are not whole.
    """
    found = manifest.read(folder)
    own = describe(found.documents_digest, encoder, found.indexing)
    wanted = expected or own
    for name in _DEPENDS_ON:
        values = [getattr(each, name) for each in (found, own, wanted)]
        if any(each != values[0] for each in values):
            raise IndexMismatch(f"{folder.name} differs in {name!r}; build it anew")
    manifest.check_whole(folder, found)
    try:
        return search.Library(folder, encoder)
    except (OSError, RuntimeError, ValueError) as broken:  # FAISS raises no narrower one
        raise IndexBroken(f"{folder.name} cannot be opened") from broken


def build(
    source: Path | Sequence[Path],
    into: Path,
    encoder: Encoder,
    *,
    indexing: Indexing | None = None,
) -> Manifest:
    """Index folders of cards and `.jsonl[.gz]` collections into `into / manifest.key`.

    The folder appears whole or not at all, and another process may do the same meanwhile. When it
    is there already nothing is done.

    Raises:
        cards.CardError, corpus.CorpusError: a source cannot be read.
        building.IndexingError: the sources cannot be indexed together.
    """
    from assistant.knowledge import building  # LangChain costs a second, and opening needs none

    sources = [source] if isinstance(source, Path) else list(source)
    return building.build(sources, into, encoder, indexing or Indexing())


def open_or_build(
    library_dir: Path,
    index_dir: Path,
    encoder: Encoder | None = None,
    *,
    corpora: Sequence[Path] = (),
    indexing: Indexing | None = None,
) -> search.Library:
    """The index of the cards in `library_dir` and of `corpora`, built first when it is stale.

    Raises:
        As `build`, and IndexBroken when the folder keeps being taken away.
    """
    used, how = encoder or _bundled(), indexing or Indexing()
    sources = [library_dir, *corpora]
    wanted = describe(corpus.digest(sources), used, how)
    for _ in range(_ATTEMPTS):
        try:
            folder = index_dir / wanted.key
            if folder.is_dir():
                return open_index(folder, used, expected=wanted)
        except IndexBroken:
            log.warning("index.broken")
        from assistant.knowledge import building  # see `build`

        building.build(sources, index_dir, used, how)
    raise IndexBroken(f"{wanted.key} is taken away or damaged each time that it is built")


@cache
def _bundled() -> Encoder:
    """The one of this process: its table is mapped once."""
    return encoder.WordLlama()
