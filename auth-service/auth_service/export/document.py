"""One JSON document out of many streams, written while it is read: memory does not grow with it."""

from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from auth_service.export.holders import Rows
from privacy.people import encode

FORMAT = "medbot-export.v1"
GATHER = 32 * 1024
"""Characters that are sent together."""


async def write(
    person: UUID, now: datetime, services: Mapping[str, Rows]
) -> AsyncGenerator[bytes, None]:
    """`{format, person, exported_at, services: {name: {section: [row, …]}}, complete: true}`.

    A document that was cut lacks its end, so it is no JSON: none is ever silently incomplete.
    """
    gathered, size = [], 0
    async for text in _texts(person, now, services):
        gathered.append(text)
        size += len(text)
        if size >= GATHER:
            yield "".join(gathered).encode()
            gathered, size = [], 0
    yield "".join(gathered).encode()


async def _texts(person: UUID, now: datetime, services: Mapping[str, Rows]) -> AsyncIterator[str]:
    head: dict[str, Any] = {"format": FORMAT, "person": person, "exported_at": now}
    yield encode(head)[:-1] + ',"services":{'
    for number, (name, rows) in enumerate(services.items()):
        yield ("," if number else "") + encode(name) + ":{"
        async for text in _sections(rows):
            yield text
        yield "}"
    yield '},"complete":true}\n'


async def _sections(rows: Rows) -> AsyncIterator[str]:
    current: str | None = None
    async for section, row in rows:
        if section == current:
            yield ","
        else:
            yield ("" if current is None else "],") + encode(section) + ":["
            current = section
        yield encode(row)
    if current is not None:
        yield "]"
