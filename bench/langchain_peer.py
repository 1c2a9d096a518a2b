"""The usual LangChain retrieval, timed: FAISS beside MiniLM, chunks of 1,000 characters.

    python bench/langchain_peer.py medquad.jsonl.gz weights queries.json

Runs in an environment of its own (langchain-community, langchain-text-splitters, faiss-cpu,
tokenizers, numpy), since none of it belongs to the product. MiniLM runs as a plain numpy forward
pass over the published weights, on one thread, in place of sentence-transformers. The chunks are
the corpus' own; the vectors stored for them are random, since a flat index takes as long
whatever is in it, and embedding them all would take an hour.
"""

import gzip
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import faiss
import numpy as np
from langchain_community.vectorstores import FAISS  # type: ignore[import-not-found,unused-ignore]
from langchain_core.embeddings import Embeddings
from langchain_text_splitters import RecursiveCharacterTextSplitter
from numpy.typing import NDArray
from tokenizers import Tokenizer

HEADS = 12
LAYERS = 6

Rows = NDArray[np.float32]


class MiniLM(Embeddings):
    """all-MiniLM-L6-v2: six layers of attention, mean over the tokens, length one."""

    def __init__(self, folder: Path) -> None:
        self.weights = tensors(folder / "model.safetensors")
        self.tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self.tokenizer.enable_truncation(256)
        self.tokenizer.no_padding()

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        return [self.embed_query(text) for text in texts]

    def embed_query(self, text: str) -> list[float]:
        ids = self.tokenizer.encode(text).ids
        w = self.weights
        x = w["embeddings.word_embeddings.weight"][ids]
        x = x + w["embeddings.position_embeddings.weight"][: len(ids)]
        x = self.norm(x + w["embeddings.token_type_embeddings.weight"][0], "embeddings.LayerNorm")
        for layer in range(LAYERS):
            x = self.layer(x, f"encoder.layer.{layer}")
        mean = x.mean(axis=0)
        unit: list[float] = (mean / np.linalg.norm(mean)).tolist()
        return unit

    def layer(self, x: Rows, name: str) -> Rows:
        length, width = x.shape
        shape = (length, HEADS, width // HEADS)
        q, k, v = (
            self.dense(x, f"{name}.attention.self.{each}").reshape(shape).transpose(1, 0, 2)
            for each in ("query", "key", "value")
        )
        scores = q @ k.transpose(0, 2, 1) / np.sqrt(np.float32(shape[2]))
        scores = np.exp(scores - scores.max(axis=-1, keepdims=True))
        mixed = (scores / scores.sum(axis=-1, keepdims=True)) @ v
        mixed = mixed.transpose(1, 0, 2).reshape(length, width)
        out = self.dense(mixed, f"{name}.attention.output.dense")
        x = self.norm(x + out, f"{name}.attention.output.LayerNorm")
        inner = gelu(self.dense(x, f"{name}.intermediate.dense"))
        return self.norm(x + self.dense(inner, f"{name}.output.dense"), f"{name}.output.LayerNorm")

    def dense(self, x: Rows, name: str) -> Rows:
        return x @ self.weights[f"{name}.weight"].T + self.weights[f"{name}.bias"]

    def norm(self, x: Rows, name: str) -> Rows:
        x = x - x.mean(axis=-1, keepdims=True)
        x = x / np.sqrt((x * x).mean(axis=-1, keepdims=True) + np.float32(1e-12))
        return x * self.weights[f"{name}.weight"] + self.weights[f"{name}.bias"]


def gelu(x: Rows) -> Rows:
    """The tanh form, within 0.001 of the exact one and quicker."""
    bent: Rows = np.tanh(np.float32(0.7978846) * (x + np.float32(0.044715) * x * x * x))
    return np.float32(0.5) * x * (np.float32(1) + bent)


def tensors(path: Path) -> dict[str, Rows]:
    """The single-precision tensors of a safetensors file."""
    raw = path.read_bytes()
    length = int.from_bytes(raw[:8], "little")
    found = {}
    for name, entry in json.loads(raw[8 : 8 + length]).items():
        if name != "__metadata__" and entry["dtype"] == "F32":
            start, end = (8 + length + each for each in entry["data_offsets"])
            found[name] = np.frombuffer(raw[start:end], np.float32).reshape(entry["shape"])
    return found


def main() -> None:
    """Print one JSON object with the milliseconds of each search."""
    answers, weights, asked = (Path(each) for each in sys.argv[1:4])
    embeddings = MiniLM(weights)
    near, far, other = (
        np.array(embeddings.embed_query(each))
        for each in (
            "How can I treat a headache?",
            "What helps against head pain?",
            "The bus leaves at noon.",
        )
    )
    assert near @ far > 0.6 > 0.3 > near @ other, "the weights do not give MiniLM's vectors"
    splitter = RecursiveCharacterTextSplitter(chunk_size=1000, chunk_overlap=200)
    with gzip.open(answers, "rt", encoding="utf-8") as lines:
        texts = [part for line in lines for part in splitter.split_text(json.loads(line)["answer"])]
    rows = np.random.default_rng(1).standard_normal((len(texts), 384)).astype(np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    store = FAISS.from_embeddings(zip(texts, rows.tolist(), strict=True), embeddings)
    faiss.omp_set_num_threads(1)
    queries = json.loads(asked.read_text(encoding="utf-8"))
    print(
        json.dumps(
            {
                "what": "LangChain FAISS (flat) with MiniLM by numpy",
                "passages": len(texts),
                "milliseconds": timed(lambda text: store.similarity_search(text, k=5), queries),
                "encoder": timed(embeddings.embed_query, queries),
            }
        )
    )


def timed(run: Callable[[str], Any], queries: list[str]) -> list[float]:
    for text in queries[:20]:
        run(text)
    taken = []
    for text in queries:
        began = time.perf_counter()
        run(text)
        taken.append((time.perf_counter() - began) * 1000)
    return taken


if __name__ == "__main__":
    main()
