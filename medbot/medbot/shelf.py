"""The library from the command line: build its index, search it, count it."""

import time

from rich.console import Console

from assistant.knowledge import cards, index
from assistant.knowledge.corpus import CorpusError
from assistant.knowledge.search import Library
from conversation_service.settings import Settings
from medbot.terminal import Failed


def open_library(settings: Settings) -> Library:
    """The index of the cards, built first when it is missing or stale.

    Raises:
        Failed: a card cannot be read, or there is none.
    """
    folder = settings.library_dir
    if not folder.is_dir():
        raise Failed(f"LIBRARY_DIR: there is no folder {folder}")
    try:
        return index.open_or_build(folder, settings.data_dir / "index")
    except (cards.CardError, CorpusError, index.IndexBroken) as error:
        raise Failed(f"library: {error}") from error


def build(settings: Settings, console: Console) -> None:
    """Builds what is stale."""
    started = time.perf_counter()
    library = open_library(settings)
    stats(library, console)
    console.print(f"ready after {time.perf_counter() - started:.1f} s")


def stats(library: Library, console: Console) -> None:
    """How much there is, and what searches it."""
    held = library.stats()
    console.print(
        f"{held.cards} cards, {held.documents} documents, {held.passages} passages, "
        f"{held.encoder} ({held.dimension} dimensions)",
        soft_wrap=True,
    )


def search(library: Library, query: str, k: int, console: Console) -> None:
    """Prints the best passages with their scores."""
    hits = library.search(query, k)
    if not hits:
        raise Failed("nothing in the library is near that")
    for hit in hits:
        passage = hit.passage
        console.print(
            f"{hit.score:.3f}  {passage.title}: {passage.heading}"
            f"  (meaning {hit.dense:.2f}, words {hit.lexical:.1f})",
            style="bold",
            soft_wrap=True,
        )
        console.print(f"       {passage.text}", soft_wrap=True)
        console.print(f"       {passage.source}. {passage.url}", style="dim", soft_wrap=True)
