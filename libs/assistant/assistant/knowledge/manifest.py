"""What an index depends on and holds, written beside it."""

import dataclasses
import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path

from assistant.knowledge.encoder import Encoder
from assistant.knowledge.settings import Chunking, Indexing, Lexical

FORMAT = 3
MANIFEST = "manifest.json"


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


def read(folder: Path) -> Manifest:
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
