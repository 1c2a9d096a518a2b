"""`search_library`: passages of the medical library, numbered on from those already given."""

from collections.abc import Iterable

from pydantic import BaseModel, Field

from assistant.knowledge.search import Hit, Library
from assistant.tools import Tool
from assistant.turns import Citation

PASSAGES = 5


class SearchLibrary(BaseModel):
    """What the model looks for."""

    query: str = Field(min_length=1, max_length=500, description="a question or a few key words")


def make(library: Library, given: list[Citation]) -> Tool:
    """The tool for one answer; `given` grows by what it finds, and its places are the markers."""

    async def run(wanted: SearchLibrary) -> str:
        return quote(add(given, library.search(wanted.query, PASSAGES)))

    return Tool(
        "search_library",
        "Finds passages of the medical library. Search before stating a medical fact that the"
        " passages at hand do not hold.",
        SearchLibrary,
        run,
    )


def add(given: list[Citation], hits: Iterable[Hit]) -> list[Citation]:
    """Appends passages that are new to `given`; answers all hits with their numbers."""
    found = []
    for hit in hits:
        passage = hit.passage
        known = [
            c for c in given if (c.document_id, c.passage) == (passage.document_id, passage.text)
        ]
        if not known:
            known = [
                Citation(
                    marker=len(given) + 1,
                    document_id=passage.document_id,
                    title=passage.title,
                    source=passage.source,
                    url=passage.url,
                    passage=passage.text,
                    score=round(float(hit.score), 4),
                )
            ]
            given.extend(known)
        found.extend(known)
    return found


def quote(passages: Iterable[Citation]) -> str:
    """Passages as a model reads them. Brackets inside a passage cannot close its frame."""
    shown = [
        f'<passage number="{p.marker}" title="{plain(p.title)}">\n{plain(p.passage)}\n</passage>'
        for p in passages
    ]
    return "\n".join(shown) or "Nothing in the library fits."


def plain(text: str) -> str:
    """Text that cannot open or close a frame of ours in a prompt."""
    return text.replace("<", "‹").replace(">", "›").replace('"', "'")
