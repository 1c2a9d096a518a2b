"""Our retrieval inside LangChain, and LangChain's embeddings and stores inside ours."""

from pathlib import Path

import pytest
from langchain_core.documents import Document
from langchain_core.embeddings import DeterministicFakeEmbedding
from langchain_core.vectorstores import InMemoryVectorStore

from assistant.knowledge import encoder, langchain

TEXTS = ["Asthma makes the airways narrow.", "Gout is a swelling of one joint."]
FACTS = [{"document_id": "asthma", "title": "Asthma"}, {"document_id": "gout", "title": "Gout"}]


@pytest.fixture
def bundled() -> langchain.EncoderEmbeddings:
    return langchain.EncoderEmbeddings(encoder.WordLlama())


@pytest.fixture
def store(bundled: langchain.EncoderEmbeddings, tmp_path: Path) -> langchain.LibraryStore:
    return langchain.LibraryStore.from_texts(TEXTS, bundled, FACTS, into=tmp_path, name="bundled")


def test_a_library_is_a_vector_store(store: langchain.LibraryStore) -> None:
    ((found, score),) = store.similarity_search_with_score("swollen joint", 1)
    assert (found.page_content, found.metadata["document_id"]) == (TEXTS[1], "gout")
    assert score == found.metadata["score"] == 1.0
    ((_, relevance),) = store.similarity_search_with_relevance_scores("swollen joint", 1)
    assert relevance == 1.0
    assert store.similarity_search("joint", documents=["asthma"])[0].page_content == TEXTS[0]
    with pytest.raises(TypeError, match="fetch"):
        store.similarity_search("joint", fetch=3)
    with pytest.raises(TypeError, match="into="):
        langchain.LibraryStore.from_texts(TEXTS, DeterministicFakeEmbedding(size=8))


async def test_a_library_is_a_retriever(store: langchain.LibraryStore) -> None:
    found = await store.as_retriever(search_kwargs={"k": 1}).ainvoke("narrow airways")
    assert [each.metadata["title"] for each in found] == ["Asthma"]


def test_a_second_index_of_the_same_texts_is_the_first(
    store: langchain.LibraryStore, bundled: langchain.EncoderEmbeddings, tmp_path: Path
) -> None:
    langchain.LibraryStore.from_texts(TEXTS, bundled, FACTS, into=tmp_path, name="bundled")
    assert len(list(tmp_path.iterdir())) == 1
    assert store.embeddings.embed_query("gout") == bundled.embed_documents(["gout"])[0]


def test_embeddings_of_others_make_an_index(tmp_path: Path) -> None:
    theirs = DeterministicFakeEmbedding(size=24)
    store = langchain.LibraryStore.from_texts(TEXTS, theirs, into=tmp_path, ids=["a", "b"])
    assert store.library.encoder.name == "DeterministicFakeEmbedding"
    assert store.similarity_search("uneven gout joint", 1)[0].metadata["document_id"] in {"a", "b"}


def test_a_store_of_others_is_searched_as_ours(bundled: langchain.EncoderEmbeddings) -> None:
    theirs = InMemoryVectorStore(bundled)
    theirs.add_documents(
        [Document(text, metadata=fact) for text, fact in zip(TEXTS, FACTS, strict=True)]
    )
    search = langchain.StoreSearch(
        Scored(theirs), only=lambda ids: lambda found: found.metadata["document_id"] in ids
    )
    (hit,) = search.search("swollen joint", 1)
    assert (hit.passage.document_id, hit.passage.title, hit.passage.text) == (
        "gout",
        "Gout",
        TEXTS[1],
    )
    assert 0 < hit.score <= 1
    (other,) = search.search("swollen joint", 1, documents=["asthma"])
    assert other.passage.document_id == "asthma"
    assert search.search("  ") == []
    with pytest.raises(ValueError, match="no way to filter"):
        langchain.StoreSearch(theirs).search("joint", documents=["gout"])


class Scored(InMemoryVectorStore):
    """LangChain's store in memory, its cosines made relevance scores."""

    def __init__(self, filled: InMemoryVectorStore) -> None:
        super().__init__(filled.embedding)
        self.store = filled.store

    def _select_relevance_score_fn(self):  # type: ignore[no-untyped-def]
        return lambda cosine: (1 + cosine) / 2
