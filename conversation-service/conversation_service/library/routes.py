"""`/api/v1/library`."""

from typing import Annotated

from fastapi import APIRouter, Path, Query
from pydantic import BaseModel

from conversation_service.context import Ctx
from kit.errors import NotFound
from kit.text import Storable
from tokens.doors import Person

router = APIRouter(prefix="/api/v1/library", tags=["library"])


class FoundPassage(BaseModel):
    """A passage with its place in its document, in code points, and how well it fits."""

    document_id: str
    title: str
    heading: str
    text: str
    start: int
    end: int
    source: str
    url: str
    score: float


class Passages(BaseModel):
    """The best passages, best first."""

    items: list[FoundPassage]


class LibraryDocument(BaseModel):
    """A whole document; offsets of passages count in `body`."""

    id: str
    title: str
    body: str
    source: str
    url: str


class LibraryStats(BaseModel):
    """What the library holds, and what it is searched with."""

    documents: int
    passages: int
    encoder: str
    dimension: int


@router.get("/search")
async def search(
    _: Person,
    ctx: Ctx,
    q: Annotated[Storable, Query(min_length=1, max_length=1000)],
    k: Annotated[int, Query(ge=1, le=50)] = 5,
) -> Passages:
    """Passages that fit `q`."""
    hits = ctx.assistant.library.search(q, k)
    return Passages(
        items=[
            FoundPassage(
                document_id=hit.passage.document_id,
                title=hit.passage.title,
                heading=hit.passage.heading,
                text=hit.passage.text,
                start=hit.passage.start,
                end=hit.passage.end,
                source=hit.passage.source,
                url=hit.passage.url,
                score=round(float(hit.score), 4),
            )
            for hit in hits
        ]
    )


@router.get("/documents/{document_id}")
async def document(
    document_id: Annotated[str, Path(max_length=200)], _: Person, ctx: Ctx
) -> LibraryDocument:
    """A document of the library."""
    found = ctx.assistant.library.document(document_id)
    if found is None:
        raise NotFound
    return LibraryDocument(
        id=found.id, title=found.title, body=found.body, source=found.source, url=found.url
    )


@router.get("/stats")
async def stats(_: Person, ctx: Ctx) -> LibraryStats:
    """How large the library is."""
    known = ctx.assistant.library.stats()
    return LibraryStats(
        documents=known.documents,
        passages=known.passages,
        encoder=known.encoder,
        dimension=known.dimension,
    )
