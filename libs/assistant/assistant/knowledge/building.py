"""Making an index: cut, encode, write beside, rename into place."""

import dataclasses
import hashlib
import itertools
import json
import os
import secrets
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np

from assistant.knowledge import cards, chunking, corpus, encoder, lexical, records, vectors
from assistant.knowledge import manifest as manifests
from assistant.knowledge.cards import Card
from assistant.knowledge.corpus import Document
from assistant.knowledge.encoder import Encoder, Vectors
from assistant.knowledge.manifest import Manifest
from assistant.knowledge.search import Passage, document_key
from assistant.knowledge.settings import Indexing

Content = tuple[Sequence[Card], Sequence[Document]]

_BATCH = 1024
_TEMPORARY = ".building-"
_STALE = 3600.0  # seconds; a build that stands still for longer has been killed
_KEPT = 2  # indexes beside each other, so that two versions of a library do not fight


class IndexingError(ValueError):
    """Documents cannot be indexed together: there are none, or two have one id."""


def build(
    sources: Sequence[Path],
    into: Path,
    encoder: Encoder,
    indexing: Indexing,
) -> Manifest:
    """See `index.build`."""
    digest = corpus.digest(sources)
    return _beside(
        into, manifests.describe(digest, encoder, indexing), lambda: _read(sources), encoder
    )


def build_documents(
    documents: Sequence[Document], into: Path, encoder: Encoder, indexing: Indexing
) -> Manifest:
    """Index documents that stand in no file, as `index.build` does those of files."""
    facts = json.dumps([asdict(each) for each in documents], ensure_ascii=False)
    digest = hashlib.sha256(facts.encode()).hexdigest()
    return _beside(
        into, manifests.describe(digest, encoder, indexing), lambda: ([], documents), encoder
    )


def _read(sources: Sequence[Path]) -> Content:
    library = [card for path in sources if path.is_dir() for card in cards.load(path)]
    documents = [corpus.from_card(card) for card in library]
    documents += [each for path in sources if not path.is_dir() for each in corpus.read(path)]
    return library, documents


def _beside(
    into: Path, wanted: Manifest, content: Callable[[], Content], encoder: Encoder
) -> Manifest:
    folder = into / wanted.key
    if _is_whole(folder):
        return manifests.read(folder)
    into.mkdir(parents=True, exist_ok=True)
    work = into / f"{_TEMPORARY}{secrets.token_hex(8)}"
    work.mkdir()
    try:
        library, documents = content()
        manifest = write(documents, work, encoder, wanted, library)
        _publish(work, folder)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    _prune(into, keep=folder)
    return manifest


def write(
    documents: Sequence[Document],
    folder: Path,
    encoder: Encoder,
    wanted: Manifest,
    library: Sequence[Card],
) -> Manifest:
    """Write the files of an index of `documents` into the empty `folder`."""
    indexing = wanted.indexing
    keys = _keys(documents)
    splitter = chunking.SentenceSplitter(indexing.chunking, encoder.count_tokens)
    passages: list[Passage] = []
    firsts = [0]
    for document in documents:
        passages += _passages(document, splitter, len(passages))
        firsts.append(len(passages))
    if not passages:
        raise IndexingError("there is nothing to index")
    names = {each.id: " ".join(each.names) for each in documents if each.names}
    searched = [_searched(each, names.get(each.document_id, "")) for each in passages]
    lexical.build(((p.title, text) for p, text in zip(passages, searched, strict=True)),
                  folder / "lexical", indexing.lexical)  # fmt: skip
    graph = len(passages) > indexing.graph_above
    rows = _vectors(passages, names, encoder, indexing.title_weight)
    vectors.build(rows, encoder.dimension, folder / "vectors.faiss", graph=graph)
    records.write(folder / "passages", (dataclasses.astuple(each) for each in passages))
    records.write(folder / "cards", (asdict(each) for each in library))
    records.write(folder / "documents", (asdict(each) for each in documents))
    np.save(folder / "firsts.npy", np.asarray(firsts, dtype=np.int64))
    np.save(folder / "keys.npy", keys)
    manifest = dataclasses.replace(
        wanted,
        documents=len(documents),
        passages=len(passages),
        files=tuple(_sizes(folder)),
    )
    text = json.dumps(asdict(manifest), indent=1)
    (folder / manifests.MANIFEST).write_text(text, encoding="utf-8")
    return manifest


def _passages(
    document: Document, splitter: chunking.SentenceSplitter, first: int
) -> Iterator[Passage]:
    number = first
    for part in document.parts:
        for start, end in splitter.spans(document.body[part.start : part.end]):
            a, b = part.start + start, part.start + end
            yield Passage(
                id=number,
                document_id=document.id,
                title=document.title,
                heading=part.heading,
                text=document.body[a:b],
                start=a,
                end=b,
                source=document.source,
                url=document.url,
                searched=part.searched,
            )
            number += 1


def _searched(passage: Passage, names: str) -> str:
    heading = passage.heading if passage.searched else ""
    return "\n".join(each for each in (names, heading, passage.text) if each)


def _vectors(
    passages: Sequence[Passage], names: Mapping[str, str], used: Encoder, title_weight: float
) -> Iterator[Vectors]:
    titled = [f"{each.title} {names.get(each.document_id, '')}".strip() for each in passages]
    titles = sorted(set(titled))
    row = {title: at for at, title in enumerate(titles)}
    of_titles = used.encode(titles)  # zeros for a document without a title
    for start in range(0, len(passages), _BATCH):
        batch = passages[start : start + _BATCH]
        texts = [f"{each.title}\n{_searched(each, '')}".strip() for each in batch]
        own = of_titles[[row[title] for title in titled[start : start + _BATCH]]]
        yield encoder.normalise(used.encode(texts) + np.float32(title_weight) * own)


def _keys(documents: Iterable[Document]) -> "np.ndarray[tuple[int, int], np.dtype[np.uint64]]":
    """Shape (documents, 2): the hash of each id, sorted, and the document's number."""
    pairs = sorted((document_key(each.id), at) for at, each in enumerate(documents))
    for (one, _), (two, _) in itertools.pairwise(pairs):
        if one == two:
            raise IndexingError("two documents have one id")
    return np.asarray(pairs, dtype=np.uint64).reshape(-1, 2)


def _sizes(folder: Path) -> Iterator[tuple[str, int]]:
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            yield path.relative_to(folder).as_posix(), path.stat().st_size


def _is_whole(folder: Path) -> bool:
    try:
        manifests.check_whole(folder, manifests.read(folder))
    except manifests.IndexBroken:
        return False
    return True


def _publish(work: Path, folder: Path) -> None:
    """Rename `work` to `folder`, unless another process has just put a whole one there."""
    for path in [*work.rglob("*"), work]:
        _sync(path)
    while not _is_whole(folder):
        try:
            work.rename(folder)
        except OSError:
            if not folder.exists():
                raise
            if not _is_whole(folder):  # damaged: out of the way, and once more
                folder.rename(folder.with_name(f"{_TEMPORARY}{secrets.token_hex(8)}"))
    _sync(folder.parent)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _prune(into: Path, *, keep: Path) -> None:
    """Remove all but the newest indexes, and what killed builds left; open maps stay readable."""
    now = keep.stat().st_mtime
    entries = [(path.stat().st_mtime, path) for path in into.iterdir() if path.is_dir()]
    left = [(at, path) for at, path in entries if path.name.startswith(_TEMPORARY)]
    others = sorted(
        (at, path)
        for at, path in entries
        if path != keep and (path / manifests.MANIFEST).is_file() and (at, path) not in left
    )
    doomed = [path for at, path in left if now - at > _STALE]
    doomed += [path for _, path in others[: max(0, len(others) - _KEPT + 1)]]
    for path in doomed:
        shutil.rmtree(path, ignore_errors=True)
