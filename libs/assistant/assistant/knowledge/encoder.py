"""Text to vectors: the table that ships in a wheel, or whatever embeddings LangChain knows."""

import hashlib
import importlib.metadata
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np
import tokenizers
from numpy.typing import NDArray

if TYPE_CHECKING:  # LangChain costs a second to import, and the bundled encoder needs none of it
    from langchain_core.embeddings import Embeddings

Vectors = NDArray[np.float32]

MAX_CHARACTERS = 100_000  # of one text; longer ones are refused, never cut
_BATCH = 256
_WHEEL = "wordllama"
_WEIGHTS = "wordllama/weights/l2_supercat_256.safetensors"
_TOKENIZER = "wordllama/tokenizers/l2_supercat_tokenizer_config.json"


class EncoderError(RuntimeError):
    """An encoder's files are absent or broken, or it returned what it must not."""


class Encoder(Protocol):
    """Turns texts into vectors; two with the same name and fingerprint give the same ones."""

    @property
    def name(self) -> str:
        """A stable name, for people and for the manifest of an index."""

    @property
    def dimension(self) -> int:
        """The width of a vector."""

    @property
    def max_tokens(self) -> int:
        """The most tokens of one text that count towards its vector."""

    @property
    def fingerprint(self) -> str:
        """A hash of the weights."""

    def encode(self, texts: Sequence[str]) -> Vectors:
        """Vectors of shape (len(texts), dimension), each of length 1, or 0 for an empty text."""

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        """How many tokens each text has."""


def normalise(rows: Vectors) -> Vectors:
    """Each row divided by its length; a row of zeros, or one that is not finite, becomes zeros."""
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    good = np.isfinite(lengths) & (lengths > 1e-12)
    divided = np.divide(rows, lengths, out=np.zeros_like(rows), where=good)
    return np.asarray(divided, dtype=np.float32)


class WordLlama:
    """The mean of one vector a token, 256 wide, read from the files of the `wordllama` wheel.

    The package itself is not imported: it would set up the root logger and may use the network.
    The table stays on disk as a memory map.

    Raises:
        EncoderError: the wheel is not installed, or its files are not what they should be.
    """

    name = "wordllama-l2-supercat-256-lower"
    max_tokens = 512  # a mean has no limit of its own; beyond this it says little

    def __init__(self) -> None:
        weights, tokenizer = _installed(_WEIGHTS), _installed(_TOKENIZER)
        self._table = _mapped(weights, "embedding.weight")
        self._tokenizer = tokenizers.Tokenizer.from_file(str(tokenizer))
        self._tokenizer.no_truncation()
        self._tokenizer.no_padding()
        self.dimension = int(self._table.shape[1])
        self.fingerprint = _digest(weights, tokenizer)

    def encode(self, texts: Sequence[str]) -> Vectors:
        """See `Encoder`."""
        rows = np.zeros((len(texts), self.dimension), dtype=np.float32)
        for row, ids in enumerate(self._ids(texts)):
            if ids:
                np.mean(self._table[ids], axis=0, dtype=np.float32, out=rows[row])
        return normalise(rows)

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        """See `Encoder`."""
        return [len(ids) for ids in self._ids(texts)]

    def _ids(self, texts: Sequence[str]) -> Iterator[list[int]]:
        for text in texts:
            if len(text) > MAX_CHARACTERS:
                raise EncoderError(f"a text of more than {MAX_CHARACTERS} characters")
            # One text at a time: `encode_batch` starts a thread pool that then waits in every
            # process, and shows in the slowest searches.
            # The table knows "Gout" and "gout" as strangers, and people write without capitals.
            folded = " ".join(text.lower().split())
            yield self._tokenizer.encode(folded, add_special_tokens=False).ids if folded else []


class FromLangChain:
    """LangChain `Embeddings` as an `Encoder`: its vectors are taken as they come, normalised.

    Raises:
        EncoderError: it returns another number or width of vectors than it should.
    """

    def __init__(
        self,
        embeddings: "Embeddings",
        *,
        name: str,
        max_tokens: int = 512,
        dimension: int | None = None,
    ) -> None:
        self._embeddings = embeddings
        self.name = name
        self.max_tokens = max_tokens
        if dimension is None:
            dimension = int(self._checked(embeddings.embed_documents(["probe"]), 1).shape[1])
        self.dimension = dimension
        # Remote models show no weights, and give the same text slightly different vectors.
        self.fingerprint = hashlib.sha256(f"{name}\0{dimension}".encode()).hexdigest()

    def encode(self, texts: Sequence[str]) -> Vectors:
        """See `Encoder`."""
        rows = np.zeros((len(texts), self.dimension), dtype=np.float32)
        for start in range(0, len(texts), _BATCH):
            part = texts[start : start + _BATCH]
            full = [at for at, text in enumerate(part) if text.strip()]
            if full:
                got = self._embeddings.embed_documents([part[at] for at in full])
                rows[[start + at for at in full]] = self._checked(got, len(full), self.dimension)
        return normalise(rows)

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        """An upper estimate, since LangChain shows no tokenizer: three characters a token."""
        return [-(-len(text) // 3) for text in texts]

    @staticmethod
    def _checked(got: Sequence[Sequence[float]], count: int, width: int | None = None) -> Vectors:
        rows = np.asarray(got, dtype=np.float32)
        if rows.ndim != 2 or rows.shape[0] != count or rows.shape[1] != (width or rows.shape[1]):
            raise EncoderError(f"embeddings of shape {rows.shape} for {count} texts")
        return rows


def from_langchain(
    embeddings: "Embeddings", *, name: str, max_tokens: int = 512, dimension: int | None = None
) -> Encoder:
    """An `Encoder` over LangChain `embeddings`, asked for one vector when no `dimension` is given.

    `name` must name the model and its version: it stands for the weights in the manifest of an
    index, so another model under the same name would be mixed with the first.
    """
    return FromLangChain(embeddings, name=name, max_tokens=max_tokens, dimension=dimension)


def _installed(wanted: str) -> Path:
    try:
        distribution = importlib.metadata.distribution(_WHEEL)
    except importlib.metadata.PackageNotFoundError as absent:
        raise EncoderError(f"the wheel {_WHEEL!r} is not installed") from absent
    path = Path(str(distribution.locate_file(wanted)))
    if not path.is_file():
        raise EncoderError(f"the wheel {_WHEEL!r} has no file {wanted!r}")
    return path


def _mapped(path: Path, tensor: str) -> NDArray[np.float16]:
    """One half-precision matrix of a safetensors file, without reading it."""
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        try:
            header = json.loads(file.read(min(length, 1 << 20)))
            entry = header[tensor]
            rows, columns = entry["shape"]
            start, end = entry["data_offsets"]
        except (KeyError, TypeError, ValueError) as broken:
            raise EncoderError(f"{path.name} holds no matrix {tensor!r}") from broken
    whole = 8 + length + end <= path.stat().st_size
    if entry.get("dtype") != "F16" or end - start != rows * columns * 2 or not whole:
        raise EncoderError(f"{path.name} holds no whole half-precision matrix {tensor!r}")
    return np.memmap(
        path, dtype=np.float16, mode="r", offset=8 + length + start, shape=(rows, columns)
    )


def _digest(*paths: Path) -> str:
    digest = hashlib.sha256()
    for path in paths:
        with path.open("rb") as file:
            while block := file.read(1 << 20):
                digest.update(block)
    return digest.hexdigest()
