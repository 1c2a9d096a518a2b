"""Our retrieval inside LangChain, and LangChain's embeddings and stores inside ours."""

import hashlib
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any

from langchain_core.documents import Document
from langchain_core.embeddings import Embeddings
from langchain_core.vectorstores import VectorStore

from assistant.knowledge import building, corpus, encoder, index
from assistant.knowledge.search import Hit, Library, Passage
from assistant.knowledge.settings import Indexing


class EncoderEmbeddings(Embeddings):
    """One of our encoders as LangChain embeddings."""

    def __init__(self, used: encoder.Encoder) -> None:
        self.encoder = used

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        """A list of `encoder.dimension` numbers a text."""
        return [[float(each) for each in row] for row in self.encoder.encode(texts)]

    def embed_query(self, text: str) -> list[float]:
        """A list of `encoder.dimension` numbers."""
        return self.embed_documents([text])[0]


class LibraryStore(VectorStore):
    """A library as a LangChain vector store, `as_retriever()` and all; it cannot be added to."""

    def __init__(self, library: Library) -> None:
        self.library = library

    @property
    def embeddings(self) -> Embeddings:
        """The library's encoder."""
        return EncoderEmbeddings(self.library.encoder)

    def similarity_search(self, query: str, k: int = 4, **kwargs: Any) -> list[Document]:
        """The `k` best passages; `documents=` (ids) narrows the search before it is made."""
        return [found for found, _ in self.similarity_search_with_score(query, k, **kwargs)]

    def similarity_search_with_score(
        self, query: str, k: int = 4, *, documents: Collection[str] | None = None, **kwargs: Any
    ) -> list[tuple[Document, float]]:
        """The same with fused scores, 0 to 1, higher is better."""
        if kwargs:
            raise TypeError(f"cannot search by {', '.join(sorted(kwargs))}")
        hits = self.library.search(query, k, documents=documents)
        return [(_document(hit), hit.score) for hit in hits]

    def _select_relevance_score_fn(self) -> Callable[[float], float]:
        return float

    @classmethod
    def from_texts(
        cls,
        texts: list[str],
        embedding: Embeddings,
        metadatas: list[dict[str, Any]] | None = None,
        *,
        ids: list[str] | None = None,
        into: Path | None = None,
        name: str = "",
        indexing: Indexing | None = None,
        **kwargs: Any,
    ) -> "LibraryStore":
        """Index `texts` in the folder `into` (needed), or open it where that is done already.

        `metadatas` may have `document_id`, `title`, `source` and `url` of each text.
        """
        if into is None or kwargs:
            raise TypeError("from_texts needs into=, a folder, and knows no other extras")
        used = encoder.from_langchain(embedding, name=name or type(embedding).__name__)
        facts = metadatas or [{} for _ in texts]
        known = ids or [str(each.get("document_id") or _hash(text))
                        for text, each in zip(texts, facts, strict=True)]  # fmt: skip
        documents = [
            corpus.Document(
                id=document_id,
                title=str(each.get("title", "")),
                body=text,
                source=str(each.get("source", "")),
                url=str(each.get("url", "")),
                parts=(corpus.Part("", 0, len(text), searched=False),),
            )
            for document_id, text, each in zip(known, texts, facts, strict=True)
        ]
        manifest = building.build_documents(documents, into, used, indexing or Indexing())
        return cls(index.open_index(into / manifest.key, used))


class StoreSearch:
    """Somebody's own LangChain vector store, searched as a `Library` is.

    Its scores must be relevance scores, 0 to 1. `only` turns ids of documents into the value of
    the store's own `filter=`, since every store has another form of it.
    """

    def __init__(
        self, store: VectorStore, *, only: Callable[[Collection[str]], Any] | None = None
    ) -> None:
        self._store = store
        self._only = only

    def search(
        self, query: str, k: int = 5, *, documents: Collection[str] | None = None
    ) -> list[Hit]:
        """The `k` best passages, best first.

        Raises:
            ValueError: `documents` are given and there is no `only` to filter by.
        """
        extra: dict[str, Any] = {}
        if documents is not None:
            if self._only is None:
                raise ValueError("this store was given no way to filter by documents")
            extra["filter"] = self._only(documents)
        if k < 1 or not query.strip():
            return []
        found = self._store.similarity_search_with_relevance_scores(query, k, **extra)
        return [_hit(at, document, score) for at, (document, score) in enumerate(found)]


def _document(hit: Hit) -> Document:
    passage = hit.passage
    return Document(
        id=str(passage.id),
        page_content=passage.text,
        metadata={
            "document_id": passage.document_id,
            "title": passage.title,
            "heading": passage.heading,
            "source": passage.source,
            "url": passage.url,
            "start": passage.start,
            "end": passage.end,
            "score": hit.score,
        },
    )


def _hit(at: int, document: Document, score: float) -> Hit:
    facts, text = document.metadata, document.page_content
    start = int(facts.get("start", facts.get("start_index", 0)))
    passage = Passage(
        id=at,
        document_id=str(facts.get("document_id") or document.id or _hash(text)),
        title=str(facts.get("title", "")),
        heading=str(facts.get("heading", "")),
        text=text,
        start=start,
        end=start + len(text),
        source=str(facts.get("source", "")),
        url=str(facts.get("url", "")),
    )
    return Hit(passage, score=float(score), dense=float(score), lexical=0.0)


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:32]
