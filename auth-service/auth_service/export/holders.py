"""The other services that keep rows of people: where they are, and how they are asked for them."""

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import httpx

import tokens
from contracts.people import HOLDERS
from kit import logs, outgoing
from kit.database import Clock
from kit.errors import DomainError, Kind, Misconfigured
from kit.settings import Settings

CONNECT_WITHIN = 3.0
READ_WITHIN = 30.0
LONGEST_LINE = 4 * 1024 * 1024
"""Characters of one row; a message has at most 200,000, with its citations some more."""

_log = logs.get(__name__)


class ExportUnavailable(DomainError):
    """A part that keeps data of yours is not available now; nothing was left out, ask again."""

    kind = Kind.UNAVAILABLE
    code = "export.unavailable"
    retry_after = 10


class Cut(Exception):
    """A holder's answer ended before it was whole."""


Rows = AsyncIterator[tuple[str, dict[str, Any]]]


@dataclass(frozen=True, slots=True)
class Holders:
    """Name → address of each, and what is needed to call them."""

    urls: Mapping[str, str]
    http: httpx.AsyncClient
    service: str
    secret: str
    clock: Clock

    async def open(self, stack: AsyncExitStack, name: str, person: UUID) -> Rows:
        """Asks one holder for a person's rows, which are read until `stack` is closed.

        Raises:
            ExportUnavailable: it does not answer, or refuses.
        """
        auth = tokens.ServiceAuth(self.secret, self.service, name, self.clock, person)
        asked = self.http.stream(
            "GET", f"{self.urls[name]}/internal/people/{person}/export", auth=auth
        )
        try:
            answer = await stack.enter_async_context(asked)
            answer.raise_for_status()
        except httpx.HTTPError as error:
            _log.warning("export.holder_away", holder=name, **logs.failure(error))
            raise ExportUnavailable from None
        return _rows(answer)


async def _rows(answer: httpx.Response) -> Rows:
    """The rows of an answer.

    Raises:
        Cut: it ended before its last line, or that counts others.
    """
    count, said = 0, None
    async for line in _lines(answer):
        entry = json.loads(line)
        if "rows" in entry:
            said = entry["rows"]
            continue
        count += 1
        yield entry["section"], entry["row"]
    if said != count:
        raise Cut


async def _lines(answer: httpx.Response) -> AsyncIterator[str]:
    """Lines, split at the line feed alone: a patient's words may hold other breaks."""
    rest = ""
    async for text in answer.aiter_text():
        *whole, rest = (rest + text).split("\n")
        for line in whole:
            yield line
        if len(rest) > LONGEST_LINE:
            raise Cut
    if rest:
        raise Cut


@asynccontextmanager
async def open_holders(settings: Settings, *, service: str, clock: Clock) -> AsyncIterator[Holders]:
    """A client to every holder that the settings know the address of.

    Raises:
        Misconfigured: the address of one is not set.
    """
    urls = {}
    for name in HOLDERS:
        url = getattr(settings, f"{name}_service_url", None)
        if url is None:
            raise Misconfigured(f"{name.upper()}_SERVICE_URL must be set")
        urls[name] = str(url)
    limits = httpx.Timeout(READ_WITHIN, connect=CONNECT_WITHIN)
    async with outgoing.to_services(timeout=limits) as http:
        yield Holders(urls, http, service, settings.service_secret(), clock)
