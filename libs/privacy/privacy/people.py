"""What every holder of people's rows does alike: hand them out by sections, and erase them once.

A holder names its tables in two lists, and serves `router`. Both are for the auth service, which
asks on a person's own behalf: see `contracts.people`.
"""

import json
from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from fastapi import APIRouter, Request
from fastapi.responses import StreamingResponse

from contracts.events import HOLDERS, Envelope, UserErased
from kit import outbox
from kit.bus import first_time
from kit.database import Database
from kit.errors import NotFound
from kit.identity import Actor
from tokens import doors

PAGE = 200
"""Rows that are read at once: an export takes no more memory, and holds no transaction open."""

MEDIA_TYPE = "application/x-ndjson"


@dataclass(frozen=True, slots=True)
class Section:
    """Rows of one kind. `source` is what stands after `from`; `columns` and `owner` refer to it.

    `key` orders a person's rows: column → type, together unique among them. Each is also a column
    of the result under its own name.
    """

    name: str
    source: str
    owner: str
    columns: str
    key: Mapping[str, str]

    def query(self, *, first: bool) -> str:
        """The next page of `$1`'s rows; with `first` that from the beginning, without `$3`."""
        names = ", ".join(self.key)
        places = ", ".join(
            f"($3::text[])[{n}]::{kind}" for n, kind in enumerate(self.key.values(), 1)
        )
        beyond = "" if first else f" and ({names}) > ({places})"
        return (
            f"select {self.columns} from {self.source} where {self.owner} = $1{beyond}"  # noqa: S608
            f" order by {names} limit $2"
        )


async def rows(
    db: Database, actor: Actor, sections: Iterable[Section], person: UUID
) -> AsyncGenerator[tuple[str, dict[str, Any]], None]:
    """Every row of a person with the name of its section, a page a transaction."""
    for section in sections:
        names = [column.rpartition(".")[2] for column in section.key]
        last: list[str] | None = None
        while True:
            async with db.transaction(actor) as tx:
                more = () if last is None else (last,)
                page = await tx.fetch(section.query(first=last is None), person, PAGE, *more)
            for row in page:
                yield section.name, dict(row)
            if len(page) < PAGE:
                break
            last = [str(page[-1][name]) for name in names]


def encode(value: Any) -> str:
    """JSON of a row; what JSON has no form of is written as PostgreSQL's text for it."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), default=_plain)


def _plain(value: Any) -> str:
    return str(value.isoformat()) if hasattr(value, "isoformat") else str(value)


def router(service: str, sections: Sequence[Section]) -> APIRouter:
    """`GET /internal/people/{person_id}/export`, for the auth service in that person's name.

    The context of the service has its database as `db`.
    """
    routes = APIRouter(include_in_schema=False)

    @routes.get("/internal/people/{person_id}/export")
    async def export(person_id: UUID, caller: doors.Caller, request: Request) -> StreamingResponse:
        if caller.service != "auth" or caller.id != person_id:
            raise NotFound
        db: Database = request.app.state.context.db
        actor = Actor.of_service(service, acting_for=person_id)
        lines = _lines(db, actor, sections, person_id)
        return StreamingResponse(lines, media_type=MEDIA_TYPE)

    return routes


async def _lines(
    db: Database, actor: Actor, sections: Iterable[Section], person: UUID
) -> AsyncIterator[str]:
    count = 0
    async with aclosing(rows(db, actor, sections, person)) as found:
        async for name, row in found:
            count += 1
            yield encode({"section": name, "row": row}) + "\n"
    yield encode({"rows": count}) + "\n"


async def erase(
    db: Database, service: str, envelope: Envelope, statements: Sequence[str]
) -> UserErased | None:
    """Runs `statements` (`$1` is the person) and says that it is done, in one transaction.

    Answers the event, or None where it had its effect before.
    """
    event = UserErased.model_validate(envelope.data)
    async with db.transaction(Actor.of_service(service)) as tx:
        if not await first_time(tx, service, envelope):
            return None
        for statement in statements:
            await tx.execute(statement, event.user_id)
        done = HOLDERS[service].model_validate({"erasure_id": event.erasure_id})
        await outbox.emit(tx, done, source=f"{service}-service")
    return event
