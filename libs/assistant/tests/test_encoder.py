"""Vectors from the bundled table, and from whatever LangChain knows."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from langchain_core.embeddings import DeterministicFakeEmbedding, Embeddings

from assistant.knowledge import encoder


@pytest.fixture(scope="module")
def bundled() -> encoder.WordLlama:
    return encoder.WordLlama()


def test_near_meanings_have_near_vectors(bundled: encoder.WordLlama) -> None:
    head, pain, bicycle = bundled.encode(["headache", "pain in the head", "bicycle"])
    assert head @ pain > 0.5 > 0.2 > head @ bicycle


def test_vectors_have_length_one_and_nothing_has_none(bundled: encoder.WordLlama) -> None:
    vectors = bundled.encode(["How long does a cold last?", "", "  \n ", "\U0001f912"])
    assert vectors.shape == (4, bundled.dimension)
    assert vectors.dtype == np.float32
    assert np.allclose(np.linalg.norm(vectors, axis=1), [1, 0, 0, 1], atol=1e-5)
    assert bundled.encode([]).shape == (0, bundled.dimension)


def test_a_vector_does_not_depend_on_its_neighbours(bundled: encoder.WordLlama) -> None:
    alone = bundled.encode(["sore throat"])[0]
    assert np.array_equal(
        bundled.encode(["a much longer text on asthma", "sore  throat"])[1], alone
    )


def test_tokens_are_counted_and_a_monster_is_refused(bundled: encoder.WordLlama) -> None:
    assert bundled.count_tokens(["", "head"]) == [0, 1]
    with pytest.raises(encoder.EncoderError, match="more than"):
        bundled.encode(["x" * (encoder.MAX_CHARACTERS + 1)])


def test_the_package_of_the_wheel_is_never_imported() -> None:
    program = """
import json, logging, sys
from assistant.knowledge import encoder
encoder.WordLlama().encode(["cough"])
loaded = [name for name in ("wordllama", "langchain_core", "requests") if name in sys.modules]
print(json.dumps([loaded, len(logging.getLogger().handlers)]))
"""
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True)
    assert json.loads(ran.stdout) == [[], 0]


def test_broken_weights_are_named(tmp_path: Path) -> None:
    path = tmp_path / "weights.safetensors"
    entry = {"dtype": "F16", "shape": [4, 2], "data_offsets": [0, 16]}
    header = json.dumps({"embedding.weight": entry}).encode()
    whole = len(header).to_bytes(8, "little") + header + bytes(16)
    path.write_bytes(whole)
    assert encoder._mapped(path, "embedding.weight").shape == (4, 2)
    with pytest.raises(encoder.EncoderError, match="no matrix"):
        encoder._mapped(path, "absent")
    path.write_bytes(whole[:-1])
    with pytest.raises(encoder.EncoderError, match="no whole"):
        encoder._mapped(path, "embedding.weight")


def test_langchain_embeddings_serve_as_an_encoder() -> None:
    theirs = encoder.from_langchain(DeterministicFakeEmbedding(size=16), name="fake-16")
    vectors = theirs.encode(["cough", "", "cold"])
    assert (theirs.dimension, vectors.shape) == (16, (3, 16))
    assert np.allclose(np.linalg.norm(vectors, axis=1), [1, 0, 1], atol=1e-5)
    again = encoder.from_langchain(DeterministicFakeEmbedding(size=16), name="fake-16")
    assert again.fingerprint == theirs.fingerprint
    assert theirs.count_tokens(["four"]) == [2]


class Remote(DeterministicFakeEmbedding):
    """A service that must not be asked before there is something to embed."""

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        assert "probe" not in texts
        return super().embed_documents(texts)


def test_a_known_dimension_needs_no_probe() -> None:
    theirs = encoder.from_langchain(Remote(size=16), name="remote-1", dimension=16)
    assert theirs.encode(["cough"]).shape == (1, 16)
    wrong = encoder.from_langchain(Remote(size=16), name="remote-1", dimension=8)
    assert wrong.fingerprint != theirs.fingerprint
    with pytest.raises(encoder.EncoderError, match="shape"):
        wrong.encode(["cough"])


class Uneven(Embeddings):
    """Returns one vector, however many texts it is given."""

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        return [[1.0, 2.0]]

    def embed_query(self, text: str) -> list[float]:
        return [1.0, 2.0]


def test_embeddings_that_lose_a_text_are_refused() -> None:
    with pytest.raises(encoder.EncoderError, match="for 2 texts"):
        encoder.from_langchain(Uneven(), name="uneven").encode(["cough", "cold"])
