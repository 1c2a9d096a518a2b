"""Search by meaning: vectors of one byte a number in a FAISS file that stays on disk."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import faiss as typed_faiss
import numpy as np
from numpy.typing import NDArray

from assistant.knowledge.encoder import Vectors

Mask = NDArray[np.bool_]

faiss: Any = typed_faiss  # its stubs leave out half of what it has

_LINKS = 32
_EF_BUILD = 80
_EF_SEARCH = 128
_LARGEST = 127  # of a signed byte
_SPARSE = 0.1  # a filter that leaves less of a graph is searched exactly


def build(rows: Iterable[Vectors], dimension: int, into: Path, *, graph: bool) -> int:
    """Write an index of `rows`, each batch of shape (any, dimension); how many there were.

    Every vector is looked at, or a graph is walked when `graph` is true. Numbers are rounded to
    a 254th of the range, which moves nDCG@10 by less than 0.001; half precision reads twice the
    memory and takes twice the time.
    """
    kind, metric = faiss.ScalarQuantizer.QT_8bit_direct_signed, faiss.METRIC_INNER_PRODUCT
    index: Any
    if graph:
        index = faiss.IndexHNSWSQ(dimension, kind, _LINKS, metric)
        index.hnsw.efConstruction = _EF_BUILD
    else:
        index = faiss.IndexScalarQuantizer(dimension, kind, metric)
    whole = np.concatenate(list(rows))
    scale = float(_LARGEST / max(np.abs(whole).max(initial=0.0), 1e-6))
    index.train(whole[:1])  # HNSW insists, though there is nothing to learn
    index.add(np.rint(whole * np.float32(scale)))
    faiss.write_index(index, str(into))
    _scale_of(into).write_text(repr(scale), encoding="ascii")
    return int(index.ntotal)


class VectorIndex:
    """An index opened without reading it; safe to search from several threads."""

    def __init__(self, path: Path) -> None:
        # Plain IO_FLAG_MMAP copies a flat index into memory without a word.
        self._index: Any = faiss.read_index(str(path), faiss.IO_FLAG_MMAP_IFC)
        self._scale = float(_scale_of(path).read_text(encoding="ascii"))
        self._graph = hasattr(self._index, "hnsw")
        self.size = int(self._index.ntotal)
        self.dimension = int(self._index.d)

    def search(
        self, query: Vectors, k: int, mask: Mask | None = None
    ) -> tuple[NDArray[np.int64], Vectors]:
        """The ids and inner products of the `k` nearest to `query`, shape (dimension,).

        `mask`, shape (size,), names the only ids that may be found; fewer than `k` may come.
        """
        # FAISS keeps this number per thread, and a server searches from many.
        faiss.omp_set_num_threads(1)
        selector = None if mask is None else _selector(mask)
        index, params = self._index, faiss.SearchParameters(sel=selector)
        if self._graph and (mask is None or mask.mean() >= _SPARSE):
            params = faiss.SearchParametersHNSW(sel=selector, efSearch=max(_EF_SEARCH, k))
        elif self._graph:
            index = faiss.downcast_index(index.storage)
        # FAISS cuts the query to whole bytes as well, so it is stretched before.
        stretch = _LARGEST / max(float(np.abs(query).max(initial=0.0)), 1e-6)
        whole = np.rint(query[None, :] * np.float32(stretch))
        products, ids = index.search(whole, min(k, self.size), params=params)
        found = ids[0] >= 0
        return ids[0][found], products[0][found] / np.float32(self._scale * stretch)

    def product(self, query: Vectors, at: int) -> float:
        """The inner product of `query` and the vector of one id."""
        return float(np.dot(self._index.reconstruct(at), query)) / self._scale


def _scale_of(path: Path) -> Path:
    """The file with the number that the vectors in `path` were multiplied by."""
    return path.with_name(path.name + ".scale")


def _selector(mask: Mask) -> Any:
    return faiss.IDSelectorBitmap(np.packbits(mask, bitorder="little"))
