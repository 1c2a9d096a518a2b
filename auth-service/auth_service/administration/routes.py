"""`/api/v1/admin`: people and dead letters. Every call leaves a row in the audit log."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Path, Query
from starlette.responses import Response

from auth_service.administration import actions, letters, store
from auth_service.administration.models import Letter, Person, PersonSession
from auth_service.context import Ctx
from kit import paging
from kit.identity import Role
from kit.text import Storable
from privacy import audit

router = APIRouter(prefix="/api/v1/admin", tags=["administration"])

Email = Annotated[Storable | None, Query(min_length=3, max_length=254)]
LetterId = Annotated[int, Path(ge=1, lt=2**63)]
Queue = Annotated[str | None, Query(pattern=r"^[a-z_.-]{1,64}$")]


@router.get("/people")
async def find_people(
    desk: audit.AdminDesk,
    email: Email = None,
    role: Role | None = None,
    locked: bool | None = None,
    limit: paging.Limit = 20,
    cursor: paging.Cursor = None,
) -> paging.Page[Person]:
    """Accounts, newest first; `email` is any part of an address."""
    after = paging.decode_time(cursor)
    async with desk.transaction("people.find") as record:
        found, last = await store.find(
            record, email=email, role=role, locked=locked, after=after, limit=limit
        )
    following = paging.encode(last[0].isoformat(), last[1]) if last else None
    return paging.Page(items=found, next_cursor=following)


@router.get("/people/{person_id}")
async def get_person(person_id: UUID, desk: audit.AdminDesk) -> Person:
    """One account."""
    async with desk.transaction("people.read") as record:
        return await actions.get(record, person_id)


@router.put("/people/{person_id}/lock")
async def lock(person_id: UUID, desk: audit.AdminDesk, ctx: Ctx) -> Person:
    """Locks an account: it cannot sign in, and what it had open ends within 5 seconds."""
    person, ended = await actions.lock(desk, ctx.directory, person_id, now=ctx.clock())
    ctx.verifier.ended(ended)
    return person


@router.delete("/people/{person_id}/lock", status_code=204, response_class=Response)
async def unlock(person_id: UUID, desk: audit.AdminDesk, ctx: Ctx) -> None:
    """Lets an account sign in again."""
    await actions.unlock(desk, ctx.directory, person_id, now=ctx.clock())


@router.get("/people/{person_id}/sessions")
async def list_sessions(person_id: UUID, desk: audit.AdminDesk) -> paging.Page[PersonSession]:
    """Where somebody is signed in."""
    async with desk.transaction("people.sessions") as record:
        await actions.get(record, person_id)
        return paging.Page(items=await store.list_sessions(record, person_id))


@router.delete("/people/{person_id}/sessions", status_code=204, response_class=Response)
async def end_all_sessions(person_id: UUID, desk: audit.AdminDesk, ctx: Ctx) -> None:
    """Signs somebody out everywhere."""
    ended = await actions.end_sessions(desk, ctx.directory, person_id, None, now=ctx.clock())
    ctx.verifier.ended(ended)


@router.delete(
    "/people/{person_id}/sessions/{session_id}", status_code=204, response_class=Response
)
async def end_session(person_id: UUID, session_id: UUID, desk: audit.AdminDesk, ctx: Ctx) -> None:
    """Ends one session of somebody."""
    ended = await actions.end_sessions(desk, ctx.directory, person_id, session_id, now=ctx.clock())
    ctx.verifier.ended(ended)


@router.get("/dead-letters")
async def list_dead_letters(
    desk: audit.AdminDesk,
    queue: Queue = None,
    limit: paging.Limit = 20,
    cursor: paging.Cursor = None,
) -> paging.Page[Letter]:
    """Events that no attempt could handle, oldest first."""
    after = paging.decode_number(cursor) or 0
    async with desk.transaction("events.dead") as record:
        found = await letters.page(record.tx, queue=queue, after=after, limit=limit + 1)
    following = paging.encode(found[limit - 1].id) if len(found) > limit else None
    items = [Letter.model_validate(letter) for letter in found[:limit]]
    return paging.Page(items=items, next_cursor=following)


@router.post("/dead-letters/{letter_id}/replay", status_code=202, response_class=Response)
async def replay(letter_id: LetterId, desk: audit.AdminDesk, ctx: Ctx) -> Response:
    """Hands a dead letter to its queue again, with all its attempts."""
    await actions.replay(desk, ctx.bus, letter_id)
    return Response(status_code=202)
