"""`GET /api/v1/admin/usage`."""

from datetime import date, timedelta
from typing import Annotated

from fastapi import APIRouter, Query

from conversation_service.context import Ctx
from conversation_service.usage import actions
from conversation_service.usage.models import By, Report
from privacy import audit

EARLIEST = date(2000, 1, 1)

router = APIRouter(prefix="/api/v1/admin/usage", tags=["administration"])


@router.get("")
async def usage(
    desk: audit.AdminDesk,
    ctx: Ctx,
    first: Annotated[date | None, Query(alias="from", ge=EARLIEST)] = None,
    last: Annotated[date | None, Query(alias="to", ge=EARLIEST)] = None,
    by: By = "day",
) -> Report:
    """What models took and cost, summed by day, person, model or service; the last 30 days."""
    until = last or desk.clock().date()
    since = first or until - timedelta(days=29)
    return await actions.report(desk, ctx.budget, since, until, by)
