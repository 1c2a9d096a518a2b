"""`/api/v1/admin/audit`: the log, and whether it is whole. Looking at it is in the log as well."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query

from auth_service.audit import store, verification
from auth_service.audit.models import Action, Entry, Filter, HalfAnchor, Moment, Verdict
from kit import paging
from privacy import audit

router = APIRouter(prefix="/api/v1/admin/audit", tags=["administration"])


@router.get("")
async def list_entries(
    desk: audit.AdminDesk,
    person: UUID | None = None,
    actor: UUID | None = None,
    action: Annotated[Action | None, Query()] = None,
    since: Annotated[Moment | None, Query(alias="from")] = None,
    until: Annotated[Moment | None, Query(alias="to")] = None,
    limit: paging.Limit = 20,
    cursor: paging.Cursor = None,
) -> paging.Page[Entry]:
    """The audit log, newest first, by person, actor, action (or its beginning) and time."""
    wanted = Filter(person, actor, action, since, until)
    before = paging.decode_number(cursor)
    async with desk.transaction("audit.list") as record:
        found, more = await store.page(record, wanted, before=before, limit=limit)
    following = paging.encode(found[-1].seq) if more else None
    return paging.Page(items=found, next_cursor=following)


@router.get("/verification")
async def verify(
    desk: audit.AdminDesk,
    anchor_seq: Annotated[int | None, Query(ge=1, lt=2**62)] = None,
    anchor_hash: Annotated[str | None, Query(pattern=r"^[0-9a-f]{64}$")] = None,
) -> Verdict:
    """Follows the chain; names the first row that was changed, removed or reordered."""
    if (anchor_seq is None) != (anchor_hash is None):
        raise HalfAnchor
    anchor = None
    if anchor_seq is not None and anchor_hash is not None:
        anchor = verification.Anchor(anchor_seq, bytes.fromhex(anchor_hash))
    async with desk.transaction("audit.verify") as record:
        return await verification.verify(record.tx, desk.seal, anchor)
