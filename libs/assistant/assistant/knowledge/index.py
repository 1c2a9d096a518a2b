"""The files of an index and what they depend on: nothing is ever mixed or half written."""

import dataclasses
import hashlib
import json
import logging
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from assistant.knowledge import corpus, encoder, search
from assistant.knowledge.encoder import Encoder
from assistant.knowledge.settings import Chunking, Indexing, Lexical

FORMAT = 2
MANIFEST = "manifest.json"
_ATTEMPTS = 5

log = logging.getLogger(__name__)


class IndexMismatch(RuntimeError):
    """An index was built with another encoder, other settings or other documents."""


class IndexBroken(RuntimeError):
    """Files of an index are missing or have another size than when they were written."""


@dataclass(frozen=True, slots=True)
class Manifest:
    """Everything that an index depends on, how much is in it, and the size of each file."""

    format: int
    encoder: str
    weights: str
    dimension: int
    max_tokens: int
    indexing: Indexing
    documents_digest: str
    documents: int = 0
    passages: int = 0
    files: tuple[tuple[str, int], ...] = ()

    @property
    def key(self) -> str:
        """The name of the folder that only this combination is written to."""
        facts = asdict(dataclasses.replace(self, documents=0, passages=0, files=()))
        return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:24]


def describe(
    digest: str, encoder: Encoder, indexing: Indexing, *, documents: int = 0, passages: int = 0
) -> Manifest:
    """The manifest of an index of documents with this digest."""
    return Manifest(
        format=FORMAT,
        encoder=encoder.name,
        weights=encoder.fingerprint,
        dimension=encoder.dimension,
        max_tokens=encoder.max_tokens,
        indexing=indexing,
        documents_digest=digest,
        documents=documents,
        passages=passages,
    )


def read_manifest(folder: Path) -> Manifest:
    """The manifest in `folder`.

    Raises:
        IndexBroken: there is none, or it is not one that this version wrote.
    """
    try:
        fields = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        found = fields["indexing"]
        fields["indexing"] = Indexing(
            chunking=Chunking(**found.pop("chunking")),
            lexical=Lexical(**found.pop("lexical")),
            **found,
        )
        fields["files"] = tuple((name, size) for name, size in fields["files"])
        return Manifest(**fields)
    except (OSError, ValueError, TypeError, KeyError) as broken:
        raise IndexBroken(f"{folder.name} has no readable manifest") from broken


def check_whole(folder: Path, manifest: Manifest) -> None:
    """Raise IndexBroken unless every file has the size that the manifest names."""
    for name, size in manifest.files:
        path = folder / name
        if not path.is_file() or path.stat().st_size != size:
            raise IndexBroken(f"{folder.name}/{name} is missing or has another size")


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
    manifest = read_manifest(folder)
    own = describe(manifest.documents_digest, encoder, manifest.indexing)
    wanted = expected or own
    for name in ("format", "encoder", "weights", "dimension", "max_tokens", "indexing",
                 "documents_digest"):  # fmt: skip
        if getattr(manifest, name) != getattr(wanted, name) or getattr(own, name) != getattr(
            wanted, name
        ):
            raise IndexMismatch(f"{folder.name} differs in {name!r}; build it anew")
    check_whole(folder, manifest)
    return search.Library(folder, encoder)


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
        except (IndexBroken, FileNotFoundError):
            log.warning("index.broken")
        from assistant.knowledge import building  # see `build`

        building.build(sources, index_dir, used, how)
    raise IndexBroken(f"{wanted.key} is taken away or damaged each time that it is built")


def _bundled() -> Encoder:
    return encoder.WordLlama()
