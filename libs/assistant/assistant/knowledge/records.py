"""Many small JSON records in one memory-mapped file, read one at a time."""

import json
import mmap
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np


def write(path: Path, records: Iterable[Any]) -> int:
    """Write `records` to `path` and where each begins to `path` + ".npy"; how many there were."""
    offsets = [0]
    with path.open("wb") as file:
        for record in records:
            raw = json.dumps(record, ensure_ascii=False, separators=(",", ":")).encode()
            offsets.append(offsets[-1] + file.write(raw))
    np.save(_beside(path), np.asarray(offsets, dtype=np.uint64))
    return len(offsets) - 1


class Records:
    """An open file of records; safe to read from several threads."""

    def __init__(self, path: Path) -> None:
        self._offsets = np.asarray(np.load(_beside(path), mmap_mode="r", allow_pickle=False))
        with path.open("rb") as file:
            empty = path.stat().st_size == 0  # an empty file cannot be mapped
            self._data = b"" if empty else mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)

    def __len__(self) -> int:
        return len(self._offsets) - 1

    def __getitem__(self, at: int) -> Any:
        if not 0 <= at < len(self):
            raise IndexError(at)
        return json.loads(self._data[int(self._offsets[at]) : int(self._offsets[at + 1])])


def _beside(path: Path) -> Path:
    return path.with_name(path.name + ".npy")
