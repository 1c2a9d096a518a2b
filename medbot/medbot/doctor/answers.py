"""Checks of what answers: the library, its index, its encoder, the models."""

from collections.abc import AsyncIterator, Iterator

import httpx

from assistant.knowledge import corpus, encoder, index
from assistant.knowledge.settings import Indexing
from assistant.llm.providers import Provider
from conversation_service.settings import Settings
from medbot.doctor import machine
from medbot.doctor.findings import Finding, bad, good, note

ASK_WITHIN = 10.0


def library(settings: Settings) -> Iterator[Finding]:
    """The cards, what embeds them, and whether the index is theirs."""
    folder = settings.library_dir
    cards = len(list(folder.glob("*.md"))) if folder.is_dir() else 0
    if not cards:
        yield bad("library", f"there are no cards in {folder}", "set LIBRARY_DIR, or clone again")
        return
    yield good("library", f"{cards} cards in {folder}")
    try:
        bundled = encoder.WordLlama()
    except (encoder.EncoderError, OSError) as error:
        said = f"its files cannot be read ({type(error).__name__})"
        yield bad("encoder", said, "`make clean setup` installs them again")
        return
    yield good("encoder", f"{bundled.name}, {bundled.dimension} dimensions")
    wanted = index.describe(corpus.digest([folder]), bundled, Indexing())
    if (settings.data_dir / "index" / wanted.key).is_dir():
        yield good("index", "is up to date")
    elif not machine.writable(settings.data_dir.resolve()):
        said = "is missing or stale, and cannot be built in DATA_DIR"
        yield bad("index", said, "`medbot library build` as somebody who may write there")
    else:
        yield note("index", "is missing or stale", "the next start builds it, in seconds")


async def models(settings: Settings, *, probe: bool) -> AsyncIterator[Finding]:
    """The models in the order in which they are asked; `probe` asks each for its list."""
    chain = settings.models()
    if not chain:
        yield good("models", "none: answers come from the library alone")
    async with httpx.AsyncClient(timeout=ASK_WITHIN) as http:
        for one in chain:
            said = f"{one.model} at {one.base_url}"
            yield await _ask(one, said, http) if probe else good(one.name, f"{said}, not asked")


async def _ask(one: Provider, said: str, http: httpx.AsyncClient) -> Finding:
    try:
        answer = await http.get(
            f"{one.base_url}/models", headers={"Authorization": f"Bearer {one.key}"}
        )
    except httpx.HTTPError as error:
        return bad(
            one.name, f"{said} does not answer ({type(error).__name__})", "check its address"
        )
    if answer.status_code in {401, 403}:
        return bad(one.name, f"{said} refuses the key", "check the provider's key")
    if answer.is_error:
        return bad(one.name, f"{said} answers {answer.status_code}", "check its address")
    return good(one.name, f"{said} knows the key")
